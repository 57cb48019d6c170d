"""DNS: records are added and removed by dynamic update (RFC 2136), signed with a TSIG key.

The one door to dnspython. Every update carries prerequisites, so that of two that want the same name one gets
it, and what it has done is read again from the server itself. Other providers come as entry points of the
group `ceso.dns`: something callable with a `DnsSection` that gives an object like `Rfc2136`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from ceso_mcp.addresses.backends import DnsProvider
from ceso_mcp.addresses.records import Record, words
from ceso_mcp.config import DnsSection
from ceso_mcp.errors import CesoError, ConfigFault, HostFault, Refused
from ceso_mcp.secrets import read_secret

ENTRY_POINTS = "ceso.dns"


def provider(settings: DnsSection) -> DnsProvider:
    """The configured provider; raises ConfigFault `no_such_provider`."""
    if settings.provider == "rfc2136":
        return Rfc2136(settings)
    for point in entry_points(group=ENTRY_POINTS, name=settings.provider):
        made: DnsProvider = point.load()(settings)
        return made
    raise ConfigFault(
        f"there is no DNS provider {settings.provider!r}",
        code="no_such_provider",
        hint="use rfc2136, or install the package that brings it",
    )


class Rfc2136:
    """Dynamic updates to one server, over TCP: an update is never sent twice by accident."""

    def __init__(self, settings: DnsSection) -> None:
        self._settings = settings

    def lookup(self, zone: str, names: Sequence[tuple[str, str]]) -> tuple[Record, ...]:
        self._require_zone(zone)
        found: list[Record] = []
        for name, kind in names:
            answer = self._look(dns.message.make_query(name, kind))
            if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                raise self._refusal(zone, answer.rcode(), "could not be asked")
            found += _records(answer, kind)
        return tuple(found)

    def _require_zone(self, zone: str) -> None:
        answer = self._look(dns.message.make_query(zone, "SOA"))
        authoritative = bool(answer.flags & dns.flags.AA) and answer.rcode() == dns.rcode.NOERROR
        if not (authoritative and any(row.rdtype == dns.rdatatype.SOA for row in answer.answer)):
            raise Refused(
                f"{self._settings.server} does not serve the DNS zone {zone}",
                code="dns_no_zone",
                hint="check the zones of [dns] and the server's",
            )

    def add(self, zone: str, records: Sequence[Record], ttl: int, *, again: bool = False) -> None:
        if again and not self._missing(zone, records):
            return
        update = self._update(zone)
        for name in dict.fromkeys(name for name, kind, _ in records if kind != "PTR"):
            update.absent(dns.name.from_text(name))
        for name in dict.fromkeys(name for name, kind, _ in records if kind == "PTR"):
            update.absent(dns.name.from_text(name), "PTR")
        for name, kind, data in records:
            update.add(dns.name.from_text(name), ttl, kind, data)
        answered = self._send(update, zone, records)
        if answered in (dns.rcode.YXDOMAIN, dns.rcode.YXRRSET):
            raise Refused(
                f"the DNS zone {zone} has such an entry already, so none was added of {words(records)}",
                code="dns_taken",
                hint="remove that entry, or choose another name or address",
            )
        if answered != dns.rcode.NOERROR:
            raise self._refusal(zone, answered, "did not take the update")
        if self._missing_after(zone, records):
            raise self._not_shown(zone, f"does not show {words(records)}")

    def remove(self, zone: str, records: Sequence[Record]) -> None:
        update = self._update(zone)
        for name, kind, data in records:
            update.delete(dns.name.from_text(name), kind, data)
        answered = self._send(update, zone, records)
        if answered != dns.rcode.NOERROR:
            raise self._refusal(zone, answered, "did not take the update")
        left = set(records) - set(self._missing_after(zone, records))
        if left:
            raise self._not_shown(zone, f"still shows {words(sorted(left))}")

    def _not_shown(self, zone: str, what: str) -> HostFault:
        """An update was taken and what it did is not seen: nobody knows how it ended, so it is taken back."""
        return HostFault(f"{self._settings.server} took the update of {zone} and {what}", code="timeout")

    def _missing_after(self, zone: str, records: Sequence[Record]) -> list[Record]:
        try:
            return self._missing(zone, records)
        except CesoError as fault:
            raise self._not_shown(zone, f"cannot be asked what it did ({fault.message})") from None

    def _missing(self, zone: str, records: Sequence[Record]) -> list[Record]:
        names = tuple(dict.fromkeys((name, kind) for name, kind, _ in records))
        there = set(self.lookup(zone, names))
        return [record for record in records if record not in there]

    def _update(self, zone: str) -> Any:
        key = read_secret(self._settings.tsig_secret, "TSIG key")
        keyring: dict[dns.name.Name, dns.tsig.Key] = {}
        name = dns.name.from_text(self._settings.tsig_name)
        try:
            keyring[name] = dns.tsig.Key(name, key.value.decode(), self._settings.tsig_algorithm)
        except ValueError:
            raise ConfigFault("the TSIG key is not base64", code="secret_invalid") from None
        return dns.update.UpdateMessage(zone, keyring=keyring, keyname=name)

    def _send(self, update: Any, zone: str, records: Sequence[Record]) -> dns.rcode.Rcode:
        """The server's answer to an update; raises HostFault `timeout` if it may or may not have taken it."""
        try:
            code: dns.rcode.Rcode = self._ask(update).rcode()
            return code
        except dns.tsig.PeerError as error:
            raise self._key_refused(error) from None
        except HostFault as fault:
            if fault.code != "dns_lost":
                raise
            raise HostFault(
                f"{fault.message}, so it may or may not have changed {words(records)} in {zone}",
                code="timeout",
            ) from None

    def _look(self, message: Any) -> Any:
        try:
            return self._ask(message)
        except HostFault as fault:
            raise HostFault(fault.message, code="dns_unreachable") from None

    def _ask(self, message: Any) -> Any:
        """The answer to one message; HostFault `dns_lost` if it may have arrived all the same."""
        where = f"the DNS server {self._settings.server}"
        try:
            return dns.query.tcp(
                message,
                self._settings.server,
                self._settings.timeout_s,
                self._settings.port,
                one_rr_per_rrset=True,
            )
        except dns.tsig.PeerError:
            raise
        except ConnectionRefusedError:
            raise HostFault(f"{where} refuses the connection", code="dns_unreachable") from None
        except OSError as error:
            raise HostFault(f"{where} cannot be reached: {error.strerror}", code="dns_lost") from None
        except dns.exception.Timeout:
            raise HostFault(f"{where} did not answer in time", code="dns_lost") from None
        except EOFError:
            raise HostFault(f"{where} ended the connection without an answer", code="dns_lost") from None
        except dns.exception.DNSException as error:
            unsigned = "requires a TSIG" in str(error)  # a plain FormError to dnspython
            said = "is not signed" if unsigned else f"cannot be trusted ({type(error).__name__})"
            raise HostFault(f"the answer of {where} {said}", code="dns_lost") from None

    def _key_refused(self, error: Exception) -> Refused:
        why = {
            "PeerBadKey": "does not know, or not for this zone, the key",
            "PeerBadSignature": "has another secret for the key",
            "PeerBadTime": "has another time than this machine",
        }.get(type(error).__name__, "does not accept the key")
        return Refused(
            f"the DNS server {self._settings.server} {why} {self._settings.tsig_name}",
            code="dns_key_refused",
            hint="compare name, algorithm and secret of the TSIG key on both sides, and both clocks",
        )

    def _refusal(self, zone: str, code: Any, what: str) -> CesoError:
        said = dns.rcode.to_text(code)
        refused = code in (dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.NOTZONE)
        return Refused(
            f"the DNS server {self._settings.server} {what} for zone {zone}: {said}",
            code="dns_zone_refused" if refused else "dns_failed",
            hint="see that the key may update this zone there" if refused else "see the server's log",
        )


def _records(answer: Any, kind: str) -> Iterable[Record]:
    wanted = {dns.rdatatype.from_text(kind), dns.rdatatype.CNAME}
    for row in answer.answer:
        if row.rdtype in wanted:
            for data in row:
                text = data.to_text().lower()
                yield (row.name.to_text().lower(), dns.rdatatype.to_text(row.rdtype), text)
