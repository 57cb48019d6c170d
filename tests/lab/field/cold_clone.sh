#!/bin/sh
# Clone a powered-off VM by hand: copy its disk with vmkfstools, its VMX with sed, register, answer, start.
set -e
SOURCE=$1
NEW=$2
DS=$(dirname "$SOURCE")
OLD=$(basename "$SOURCE")
mkdir "$DS/$NEW"
vmkfstools -i "$SOURCE/$OLD.vmdk" "$DS/$NEW/$NEW.vmdk" -d thin
sed -e "s/$OLD/$NEW/g" "$SOURCE/$OLD.vmx" > "$DS/$NEW/$NEW.vmx"
chmod 755 "$DS/$NEW/$NEW.vmx"
sed -i -e '/^uuid.location/d' -e '/^ethernet0.generatedAddress/d' "$DS/$NEW/$NEW.vmx"
VMID=$(vim-cmd solo/registervm "$DS/$NEW/$NEW.vmx")
echo "registered as $VMID"
vim-cmd vmsvc/power.on "$VMID" &
ON=$!
tries=0
while [ "$(vim-cmd vmsvc/power.getstate "$VMID" | tail -1)" != "Powered on" ] && [ $tries -lt 40 ]; do
    Q=$(vim-cmd vmsvc/message "$VMID" | sed -n 's/^Virtual machine message \([^:]*\):.*/\1/p')
    [ -n "$Q" ] && vim-cmd vmsvc/message "$VMID" "$Q" 2
    tries=$((tries + 1))
    usleep 100000
done
wait $ON
vim-cmd vmsvc/power.getstate "$VMID" | tail -1
