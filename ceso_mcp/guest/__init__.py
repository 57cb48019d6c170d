"""What a guest is told and what it should then report: names, addresses, identity, cloud-init. Pure.

`names` hostnames, users, SSH keys · `network` addresses of one NIC · `identity` UUID, MAC, instance-id ·
`cloudinit` the documents · `guestinfo` how they travel in a `.vmx` · `readback` documents back to
requests · `expectation` asked against reported.
"""
