"""What each choice that flatters adds to a score."""

from collections.abc import Mapping
from typing import Any

from mdjpt_hf.data.exposure import noted
from mdjpt_hf.evaluation.protocols import Protocol


def audit_table(results: list[tuple[str, Protocol, dict[str, Any]]], record: Mapping[str, Any]) -> list[str]:
    """How much each optimistic choice adds to the accuracy, with the null of the same choices beside it.

    Args:
        results: (stage, its protocol, rows of its record). record: Of any of them.
    """
    corpus, simulated, note = record["corpus"], record["data"] == "simulated", record["protocol"].get("one_stimulus")
    title = f"{'Simulated data: ' if simulated else ''}{corpus}, {results[0][1].name}: what each choice adds"
    lines = [
        "",
        f"### {title}",
        "",
        *([f"{note}.", ""] if note else []),
        "| choice | encoder | accuracy | added | null of the same protocol |",
        "|" + "---|" * 5,
    ]
    before: dict[str, float] = {}
    for stage, _, rows in results:
        for name, row in rows.items():
            mean = row["score"]["mean"]
            added = f"{mean - before[name]:+.3f}" if name in before else ""
            null = row["null"]
            interval = f"{null['mean']:.3f} [{null['low']:.3f}, {null['high']:.3f}]"
            shown = noted(name, record["encoders"].get(name, {}))
            lines.append(f"| {stage} | {shown} | {mean:.3f} | {added} | {interval} |")
            before[name] = mean
    return lines
