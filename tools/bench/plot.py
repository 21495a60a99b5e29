#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""plot.py BENCH_JSON DIRECTORY: the figures of a bench as SVG, one file a section. What the file
does not hold is not drawn; the names of what was written go to standard output."""

import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text: smaller, and can be searched

import matplotlib.pyplot as plt  # noqa: E402

# Colours that differ in lightness, too (Okabe and Ito).
COLOURS = ("#000000", "#E69F00", "#0072B2", "#999999", "#009E73", "#CC79A7")
SERIES = {"none": "no protection", "nftables": "nftables, named set",
          "filter": "XDP filter of ten lines", "levee": "Levee",
          "elsewhere": "flood elsewhere (control)"}


def rows(bench, section, prefix=""):
    for s in bench["sections"]:
        if s["key"] == section:
            yield from (r for r in s["rows"] if r["key"].startswith(prefix))


def save(figure, directory, name, bench):
    machine = bench["machine"]
    figure.text(0.01, 0.005, f"levee {bench['levee']}, {bench['date']}; {machine['cpu']}, "
                f"{machine['cpus']} CPUs, kernel {machine['kernel']}, load "
                f"{machine.get('load_average', 'unknown')}", fontsize=6, color="#555555")
    path = directory / f"{name}.svg"
    figure.savefig(path)
    plt.close(figure)
    print(path)


def plot_service(bench, directory):
    points = [r["data"] for r in rows(bench, "service", "service.at.")]
    if not points:
        return
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(7, 6.5))
    for colour, series in zip(COLOURS, SERIES):
        measured = [p["series"][series] for p in points if series in p["series"]]
        if not measured:
            continue
        x = [max(1e3, statistics.median(m["rate"] for m in ms)) for ms in measured]
        for axes, name, scale in ((upper, "answers_per_s", 1), (lower, "p99_us", 1e-3)):
            middle = [scale * statistics.median(m[name] for m in ms) for ms in measured]
            low = [scale * min(m[name] for m in ms) for ms in measured]
            high = [scale * max(m[name] for m in ms) for ms in measured]
            axes.plot(x, middle, marker="o", markersize=3, color=colour, label=SERIES[series])
            axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
    upper.axhline(points[0]["asked_per_s"] / 2, color="#cccccc", linestyle=":", linewidth=1)
    upper.set_ylabel("answers a second")
    upper.set_ylim(bottom=0)
    upper.set_title("A TCP service under a rising flood")
    upper.legend(fontsize=8)
    lower.set_ylabel("99th percentile [ms]")
    lower.set_yscale("log")
    lower.set_xscale("log")
    lower.set_xlabel("flood that was sent [packets/s]; 1,000 stands for none")
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    save(figure, directory, "service", bench)


def plot_bars(axes, names, groups, label):
    """groups: name to a value for each of names, None where there is none."""
    width = 0.8 / max(1, len(groups))
    for i, (group, values) in enumerate(groups.items()):
        for j, value in enumerate(values):
            at = j + i * width - 0.4 + width / 2
            if value is None:
                axes.text(at, 0, "-", ha="center", va="bottom", fontsize=8)
                continue
            axes.bar(at, value, width * 0.9, color=COLOURS[(i + 1) % len(COLOURS)],
                     label=group if all(v is None for v in values[:j]) else None)
            if value == 0:
                axes.text(at, 0, "0", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(names)))
    axes.set_xticklabels(names, rotation=25, ha="right", fontsize=8)
    axes.set_ylabel(label, fontsize=8)


def plot_detection(bench, directory):
    for way in ("replay", "live"):
        data = [r["data"] for r in rows(bench, f"detection.{way}") if r.get("data", {}).get("way")]
        if not data:
            continue
        names = sorted({d["scenario"] for d in data})
        kinds = list(dict.fromkeys(d["way"] for d in data))
        at = {(d["scenario"], d["way"]): d for d in data}

        def values(pick):
            return {k: [pick(at[n, k]) if (n, k) in at else None for n in names] for k in kinds}

        figure, axes = plt.subplots(3, 1, sharex=True, figsize=(8, 7.5))
        plot_bars(axes[0], names, values(lambda d: d["recall"]), "recall")
        plot_bars(axes[1], names, values(
            lambda d: d["from_crossing_s"] and d["from_crossing_s"]["median"]),
            "crossing to drop [s], median")
        plot_bars(axes[2], names, values(
            lambda d: d["flood_dropped"] / d["flood_packets"] if d["flood_packets"] else None),
            "share of the flood dropped")
        axes[0].set_title("Detection " + ("by levee replay, bins of 60 s" if way == "replay" else
                                          "live, bins of 1 s, 60 times as fast"))
        axes[0].set_ylim(0, 1.05)
        axes[2].set_ylim(0, 1.05)
        axes[0].legend(fontsize=8)
        figure.tight_layout(rect=(0, 0.02, 1, 1))
        save(figure, directory, f"detection-{way}", bench)


def plot_unit(axes, figures, unit):
    """Medians in one unit, with their range."""
    for i, r in enumerate(reversed(figures)):
        error = [[max(0, r["median"] - r["low"])], [max(0, r["high"] - r["median"])]]
        axes.barh(i, r["median"], xerr=error, color=COLOURS[2], height=0.7, ecolor=COLOURS[1])
    axes.set_yticks(range(len(figures)))
    axes.set_yticklabels([r["label"][:60] for r in reversed(figures)], fontsize=7)
    axes.set_xlabel(unit, fontsize=8)


def plot_section(bench, section, directory):
    """The figures of a section, those of a unit together."""
    units = {}
    for r in section["rows"]:
        if r.get("unit"):
            units.setdefault(r["unit"], []).append(r)
    if not units:
        return
    heights = [len(figures) + 2 for figures in units.values()]
    figure, axes = plt.subplots(len(units), 1, squeeze=False, figsize=(8, 0.8 + 0.26 * sum(heights)),
                                gridspec_kw={"height_ratios": heights})
    for (unit, figures), each in zip(units.items(), axes[:, 0]):
        plot_unit(each, figures, unit)
    axes[0, 0].set_title(section["title"], fontsize=9)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    save(figure, directory, section["key"], bench)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: plot.py BENCH_JSON DIRECTORY")
    bench = json.loads(pathlib.Path(sys.argv[1]).read_text())
    directory = pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    plot_service(bench, directory)
    plot_detection(bench, directory)
    special = {"service", "detection.replay", "detection.live", "detection.beside"}
    for section in bench["sections"]:
        if section["key"] in special:
            continue
        plot_section(bench, section, directory)


if __name__ == "__main__":
    main()
