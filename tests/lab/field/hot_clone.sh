#!/bin/sh
# Clone a running VM: freeze its disk with a snapshot, copy the frozen base, remove the snapshot.
set -e
VMID=$1
NEW=$2
VMX=$(vim-cmd vmsvc/get.config "$VMID" | sed -n 's/ *vmPathName = "\[\(.*\)\] \(.*\)",.*/\/vmfs\/volumes\/\1\/\2/p' | head -1)
FOLDER=${VMX%/*}
BASE=$(sed -n 's/^scsi0:0.fileName = "\(.*\)"/\1/p' "$VMX")
if vmkfstools -i "$FOLDER/$BASE" -d thin "$FOLDER/refused.vmdk"; then
    echo "a locked disk was copied"
    exit 9
fi
rm -f "$FOLDER"/refused*.vmdk
vim-cmd vmsvc/snapshot.create "$VMID" clone "for $NEW" 0 0
mkdir "${FOLDER%/*}/$NEW"
vmkfstools -i "$FOLDER/$BASE" -d thin "${FOLDER%/*}/$NEW/$NEW.vmdk"
vim-cmd vmsvc/snapshot.removeall "$VMID"
grep -vE '^(uuid\.|vc\.uuid|ethernet0\.generated|sched\.swap|scsi0:0\.fileName|displayName|nvram)' "$VMX" > "${FOLDER%/*}/$NEW/$NEW.vmx"
{
    echo "displayName = \"$NEW\""
    echo "scsi0:0.fileName = \"$NEW.vmdk\""
    echo "nvram = \"$NEW.nvram\""
} >> "${FOLDER%/*}/$NEW/$NEW.vmx"
vim-cmd solo/registervm "${FOLDER%/*}/$NEW/$NEW.vmx"
