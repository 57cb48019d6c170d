#!/bin/sh
# Back up one VM by name the way the ghettoVCB family does: find it in getallvms, snapshot when it runs,
# clone each disk's base, remove the snapshot, keep the VMX, rotate old copies.
set -u
NAME=$1
TARGET=$2
KEEP=${3:-2}

ROW=$(vim-cmd vmsvc/getallvms 2>/dev/null | sed 's/[[:blank:]]\{3,\}/   /g' | awk -F'   ' -v name="$NAME" '$2 == name')
VMID=$(echo "$ROW" | awk -F'   ' '{print $1}')
[ -n "$VMID" ] || { echo "no VM named $NAME"; exit 2; }
VMX=$(echo "$ROW" | awk -F'   ' '{print $3}' | sed -e 's/^\[\(.*\)\] \(.*\.vmx\).*/\/vmfs\/volumes\/\1\/\2/')
[ -f "$VMX" ] || { echo "no file $VMX"; exit 2; }
FOLDER=$(dirname "$VMX")
if vim-cmd vmsvc/snapshot.get "$VMID" | grep -q -- '--Snapshot Name'; then
    echo "$NAME has snapshots, skipped"
    exit 3
fi
DISKS=$(grep -iE '^(scsi|sata|nvme|ide)[0-9]+:[0-9]+\.fileName' "$VMX" | sed 's/.*= *"\(.*\)"/\1/' | grep '\.vmdk$')
COPY="$TARGET/$NAME/$NAME-$(date +%F_%H-%M-%S)-$$"
mkdir -p "$COPY"
cp "$VMX" "$COPY/"

STATE=$(vim-cmd vmsvc/power.getstate "$VMID" | tail -1)
if [ "$STATE" = "Powered on" ]; then
    vim-cmd vmsvc/snapshot.create "$VMID" field-backup "made by a script" 0 0 >/dev/null || exit 4
    while [ "$(vim-cmd vmsvc/snapshot.get "$VMID" | wc -l)" -eq 1 ]; do sleep 1; done
fi
STATUS=0
echo "$DISKS" | while IFS= read -r DISK; do
    vmkfstools -i "$FOLDER/$DISK" -d thin "$COPY/$DISK" >/dev/null || { echo "clone of $DISK failed"; exit 5; }
done || STATUS=5
if [ "$STATE" = "Powered on" ]; then
    vim-cmd vmsvc/snapshot.removeall "$VMID" >/dev/null
    while ls "$FOLDER" | grep -qE -- '-(delta|sesparse)\.vmdk$'; do sleep 1; done
fi
ls -d "$TARGET/$NAME"/* | sort -r | sed "1,${KEEP}d" | while IFS= read -r OLD; do rm -rf "$OLD"; done
[ $STATUS -eq 0 ] && echo "backed up $NAME to $COPY"
exit $STATUS
