"""Pools of addresses and the DNS records that go with them: words and rules, no hands (`ipam`, `dns`)."""
