#!/bin/sh
# What an image builder does over SSH: check the host, make a disk, put a VMX in place, register by the
# answer's last word, start, wait for the address, stop, unregister, remove.
set -e
DS=/vmfs/volumes/$1
NAME=$2
esxcli --formatter=csv network ip interface list >/dev/null || true
esxcli system version get | grep -q 'Product: VMware ESXi'
test -e "$DS"
mkdir -p "$DS/$NAME"
vmkfstools -c 1024m -d zeroedthick "$DS/$NAME/disk.vmdk"
cat > "$DS/$NAME/$NAME.vmx"
VMID=$(vim-cmd solo/registervm "$DS/$NAME/$NAME.vmx" "$NAME")
vim-cmd vmsvc/reload "$VMID"
vim-cmd vmsvc/power.on "$VMID"
vim-cmd vmsvc/power.getstate "$VMID" | grep -q 'Powered on'
WORLD=$(esxcli vm process list | grep -A1 "^$NAME\$" | sed -n 's/.*World ID: //p')
esxcli vm process kill --type=soft --world-id="$WORLD"
i=0
while vim-cmd vmsvc/power.getstate "$VMID" | grep -q 'Powered on' && [ $i -lt 30 ]; do usleep 100000; i=$((i + 1)); done
vim-cmd vmsvc/unregister "$VMID"
rm -rf "${DS:?}/$NAME"
echo "built and gone: $VMID"
