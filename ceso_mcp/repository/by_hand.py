"""What is put into every repository so that it can be restored without ceso."""

from __future__ import annotations

RESTORE_TXT = """\
This folder is a repository of virtual machine backups made by ceso (ESXi Commander),
format version 1. Everything in it can be restored with standard tools.

  backups/VM-ID/TIME-RUN/manifest.json   one backup: its VM, its disks, its files (plain JSON)
  backups/VM-ID/TIME-RUN/manifest.json.sig  the signature of manifest.json, if it is signed
  backups/VM-ID/TIME-RUN/disk-N.map.*    where the data of disk N lies (text, compressed)
  backups/VM-ID/TIME-RUN/disk-N.sums.*   digests of the disk's blocks (for ceso)
  backups/VM-ID/TIME-RUN/files.tar.*     the .vmx, the disk descriptors, the nvram
  packs/HH/SHA256.*                      the data; each is named by the sha256 of the file itself

Names end with .zst (zstd), with .zst.age (zstd, then age) or with .zst.gpg (zstd, then OpenPGP);
see ceso-repo.json for whose key. If there is a file key.age, a passphrase opens the repository:

  age -d -o key.txt key.age              asks for it, and writes the identity file

A folder without manifest.json is a backup that was not finished; ignore it.

To restore a disk as a raw image:

  sh restore.sh REPOSITORY BACKUP DISK-NUMBER OUT.raw [AGE-IDENTITY-FILE]

  sh restore.sh . 564d7c1e-.../20260115T031500Z-4f2a9c 0 web.raw key.txt

It needs sh, awk, sed, grep, GNU coreutils, zstd and, by how the names end, age, or gpg with the secret
key in its keyring (then no identity file is given). The raw image is what ESXi calls the flat file:
beside the descriptor from files.tar it is a VMDK again, and `qemu-img convert` makes anything else
of it.

To get the .vmx and the other files:

  zstd -dc files.tar.zst | tar -xf -                           not encrypted
  age -d -i KEY files.tar.zst.age | zstd -dc | tar -xf -       encrypted with age
  gpg -d files.tar.zst.gpg | zstd -dc | tar -xf -              encrypted with OpenPGP

To check a pack: its sha256sum is its name. To check a manifest: its last line gives the sha256 of
everything before that line:

  sed '/^ "checksum": /,$d' manifest.json | sha256sum
  tail -n 2 manifest.json

That finds damage, not forgery: who can write here can also write a right checksum. If there is a
manifest.json.sig, OpenSSH (8.2 or newer) tells who signed the manifest, and with it all that it names:

  ssh-keygen -Y check-novalidate -n ceso-backup -s manifest.json.sig < manifest.json

prints the key, whoever's it is. To hold it against keys that you know, write them into a file, one
a line, as "ceso ssh-ed25519 AAAA...". Take them from where nobody else can write, never from here:

  ssh-keygen -Y verify -f signers -I ceso -n ceso-backup -s manifest.json.sig < manifest.json

and see that "id" in the manifest is the VM-ID/TIME-RUN of its folder. restore.sh does both if
CESO_SIGNERS names that file; otherwise it only refuses a signature that is not one of the manifest
(CESO_SIGNERS=- lets it look at none).

A line of a map is "DISK_OFFSET LENGTH PACK_NUMBER RAW_OFFSET", in bytes: LENGTH bytes of the
disk from DISK_OFFSET on are found at RAW_OFFSET of that pack once it is decompressed. Packs are
numbered from 0 in the manifest's order. What is in no line is zero.
"""

RESTORE_SH = r"""#!/bin/sh
# Restores one disk of a ceso backup (repository format version 1) as a raw image.
# usage: restore.sh REPOSITORY BACKUP DISK-NUMBER OUT.raw [AGE-IDENTITY-FILE]
# needs: sh, awk, sed, grep, GNU coreutils (dd, sha256sum, truncate, mktemp), zstd; age or gpg
# CESO_SIGNERS=FILE: only what one of these signers has signed, see RESTORE.txt (takes ssh-keygen)
set -eu
umask 077

die() { echo "restore.sh: $*" >&2; exit 1; }

if [ $# -lt 4 ] || [ $# -gt 5 ]; then
  sed -n '3,5s/^# //p' "$0" >&2
  exit 2
fi
repo=$1 backup=$2 disk=$3 out=$4 key=${5-}
if [ -f "$backup/manifest.json" ]; then
  dir=$backup
else
  dir=$repo/backups/$backup
fi
[ -f "$dir/manifest.json" ] || die "there is no backup $backup in $repo"
case $disk in '' | *[!0-9]*) die "the disk number is not a number: $disk" ;; esac
[ ! -f "$out" ] || die "$out exists already; it is not overwritten"

# Packs are unpacked beside the result, where there is room for data.
work=$(mktemp -d "$(dirname "$out")/ceso-restore.XXXXXX")
made=
cleanup() {
  status=$?
  rm -rf "$work"
  if [ "$status" -ne 0 ] && [ -n "$made" ]; then rm -f "$made"; fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

want=$(sed -n 's/^ "checksum": "\([0-9a-f]*\)"$/\1/p' "$dir/manifest.json")
have=$(sed '/^ "checksum": /,$d' "$dir/manifest.json" | sha256sum | cut -d ' ' -f 1)
[ -n "$want" ] && [ "$want" = "$have" ] || die "the manifest is damaged"
grep -q '^ "version": 1,$' "$dir/manifest.json" || die "the manifest is not of format version 1"
sig=$dir/manifest.json.sig
check_signature() { ssh-keygen -Y "$@" -n ceso-backup -s "$sig" < "$dir/manifest.json" > /dev/null 2>&1; }
case ${CESO_SIGNERS-} in
  -) ;;
  '')
    if [ -f "$sig" ] && command -v ssh-keygen > /dev/null; then
      check_signature check-novalidate || die "manifest.json.sig is not a signature of the manifest"
    fi ;;
  *)
    [ -f "$CESO_SIGNERS" ] || die "there is no file $CESO_SIGNERS"
    [ -f "$sig" ] || die "the backup is not signed"
    check_signature verify -f "$CESO_SIGNERS" -I ceso ||
      die "the backup is not signed by one of the signers in $CESO_SIGNERS"
    id=$(sed -n 's/^ "id": "\([^"]*\)",$/\1/p' "$dir/manifest.json")
    case $(cd "$dir" && pwd -P) in
      */"$id") ;;
      *) die "the manifest is of another backup than its folder says: $id" ;;
    esac ;;
esac
case $(sed -n 's/^ "encryption": "\([a-z]*\)",$/\1/p' "$dir/manifest.json") in
  none) suffix=.zst ;;
  age) suffix=.zst.age ;;
  openpgp) suffix=.zst.gpg ;;
  *) die "the manifest names an encryption that this script does not know" ;;
esac
[ "$suffix" != .zst.age ] || [ -n "$key" ] ||
  die "the backup is encrypted; give the file with an age identity"

# From the disk's part of the manifest: its capacity, its map's hash, its packs in order.
awk -v disk="$disk" -v work="$work" '
  /^   "index": / { here = ($2 + 0 == disk + 0); next }
  !here { next }
  /^   "capacity_bytes": / { printf "%s\n", substr($2, 1, length($2) - 1) > (work "/capacity") }
  /^   "map": / {
    count_of_parts = split($0, parts, "\"")
    for (n = 1; n <= count_of_parts; n++) if (parts[n] == "sha256") print parts[n + 2] > (work "/maphash")
  }
  /^    \["/ { split($0, parts, /[],[ "]+/); print count++, parts[2], parts[4] > (work "/packs") }
' "$dir/manifest.json"
[ -s "$work/capacity" ] || die "the backup has no disk $disk"
: >> "$work/packs"

# open_object FILE SHA256 RESULT: check, decrypt and decompress one stored object.
open_object() {
  [ -f "$1" ] || die "$1 is missing"
  [ "$(sha256sum < "$1" | cut -d ' ' -f 1)" = "$2" ] || die "$1 is damaged: its sha256 is not $2"
  if [ "$suffix" = .zst ]; then
    zstd -dcq "$1" > "$3" || die "cannot decompress $1"
  else
    if [ "$suffix" = .zst.gpg ]; then
      gpg --quiet --output "$work/opened" --decrypt "$1" || die "cannot decrypt $1 with the keys of gpg"
    else
      age -d -i "$key" -o "$work/opened" "$1" || die "cannot decrypt $1 with this identity"
    fi
    zstd -dcq "$work/opened" > "$3" || die "cannot decompress $1"
    rm -f "$work/opened"
  fi
}

open_object "$dir/disk-$disk.map$suffix" "$(cat "$work/maphash")" "$work/map"
made=$out
truncate -s "$(cat "$work/capacity")" "$out"

while read -r number hash raw_bytes; do
  awk -v number="$number" '$3 == number { print $1, $2, $4 }' "$work/map" > "$work/runs"
  [ -s "$work/runs" ] || continue
  open_object "$repo/packs/$(echo "$hash" | cut -c 1-2)/$hash$suffix" "$hash" "$work/raw"
  [ "$(wc -c < "$work/raw")" -eq "$raw_bytes" ] || die "pack $hash unpacks to a wrong size"
  while read -r offset length at; do
    dd if="$work/raw" of="$out" bs=1M iflag=skip_bytes,count_bytes,fullblock oflag=seek_bytes \
      skip="$at" count="$length" seek="$offset" conv=notrunc status=none < /dev/null ||
      die "cannot write $out"
  done < "$work/runs"
  awk -v number="$number" '$3 == number' "$work/map" >> "$work/done"
done < "$work/packs"
: >> "$work/done"
[ "$(wc -l < "$work/done")" -eq "$(wc -l < "$work/map")" ] ||
  die "the map names packs that the manifest does not"
sync "$out"
echo "disk $disk restored to $out"
"""
