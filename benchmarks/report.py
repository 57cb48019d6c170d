"""The figures of a comparison as Markdown: tables, and what was aimed at."""

from __future__ import annotations

import os
import platform
import statistics
from pathlib import Path
from typing import Any

MIB = 1 << 20
Figures = dict[tuple[int, str, str], list[Any]]


def report(figures: Figures, changed: dict[str, int], mib: int, rounds: int) -> str:
    """All tables. `changed` are the bytes rewritten for each second backup."""
    about = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in about if "model name" in line), "?")
    lines = [
        f"{rounds} interleaved rounds; a disk of {mib} MiB, a quarter of it allocated, and a dense one of"
        f" {mib // 2} MiB. {os.cpu_count()} cores ({cpu}), Linux {platform.release()}. Medians;"
        " links with a limit, and the pipe's second backups, were measured once.",
        "",
    ]
    for rate in sorted({key[0] for key in figures}):
        lines += [
            f"### {f'Link of {rate} MB/s' if rate else 'No limit on the link'}",
            "",
            *_table(figures, rate),
            "",
        ]
    return "\n".join([*lines, "### Aims", "", *_aims(figures, changed), ""])


def _median(runs: list[Any], name: str) -> float | None:
    values = [getattr(run, name) for run in runs]
    return None if None in values else statistics.median(values)


def _table(figures: Figures, rate: int) -> list[str]:
    lines = [
        "| run | tool | wall s (least to most) | CPU here s | CPU host s | wire MiB | added MiB | peak MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (at, scenario, tool), runs in figures.items():
        if at != rate:
            continue
        walls = [run.wall_s for run in runs]
        wire, stored = _median(runs, "wire"), _median(runs, "stored") or 0
        cells = (
            scenario,
            tool,
            f"{statistics.median(walls):.2f} ({min(walls):.2f} to {max(walls):.2f})",
            f"{_median(runs, 'cpu_s'):.2f}",
            f"{_median(runs, 'host_cpu_s'):.2f}",
            "" if wire is None else f"{wire / MIB:.1f}",
            f"{stored / MIB:.1f}" if stored else "",
            f"{(_median(runs, 'peak') or 0) / MIB:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _aims(figures: Figures, changed: dict[str, int]) -> list[str]:
    lines = ["| aim | at most | measured | |", "| --- | --- | --- | --- |"]

    def value(name: str, rate: int, scenario: str, tool: str = "ceso") -> float | None:
        runs = figures.get((rate, scenario, tool))
        return _median(runs, name) if runs else None

    def row(aim: str, most: float, one: float | None, other: float | None) -> None:
        if one is not None and other:
            share = one / other
            lines.append(f"| {aim} | {most} | {share:.2f} | {'met' if share <= most else '**missed**'} |")

    for scenario, most in (
        ("full, quarter", 0.5),
        ("full, dense", 1),
        ("restore, quarter", 1),
        ("restore, dense", 1),
    ):
        wall = value("wall_s", 0, scenario)
        row(f"{scenario}: time of the pipe", most, wall, value("wall_s", 0, scenario, "pipe"))
    for rate in sorted({key[0] for key in figures}):
        words = f", link of {rate} MB/s" if rate else ""
        for name in changed:
            first, second = value("wall_s", rate, "full, quarter"), value("wall_s", rate, name)
            row(f"{name}: time of the first run{words}", 0.1 if rate else 0.4, second, first)
    for name, total in changed.items():
        for tool in ("restic", "borg"):
            row(f"{name}: time of {tool}", 1, value("wall_s", 0, name), value("wall_s", 0, name, tool))
        most = 3.0 if "4 KiB" in name else 1.6
        row(f"{name}: changed bytes on the wire", most, value("wire", 0, name), total)
    for rate, scenario, tool in figures:
        if (rate, tool) == (0, "ceso"):
            row(f"{scenario}: peak of 200 MiB", 1, value("peak", 0, scenario), 200 * MIB)
    return lines
