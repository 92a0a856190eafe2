"""The training compute of well-known models, 2012 to 2025: a small table with its sources.

Every number is a fact read in Epoch AI's table of notable models (epoch.ai/data, CC BY 4.0, in its authors'
repository training-cost-trends at commit 263c40a of April 2026), which estimates it from the paper that is
named; good to a factor of about 2, and where Epoch AI calls an estimate likely or speculative, to about 3
to 10. Chosen before any rate was computed: to 2023 models that papers on compute trends name, so all are
large for their day; of 2024 and 2025, where the table ends in May, the largest base model of each generation
whose estimate Epoch AI calls confident and puts above 3e24 FLOP.
"""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Literal

import pandas as pd

from isoflop.curve.result import Excluded
from isoflop.table import formats
from isoflop.table.columns import nearest, no_number, number

NAMES = ("Model", "System")
DATE, COMPUTE = "Publication date", "Training compute (FLOP)"
"""The columns of Epoch AI's tables."""


@dataclasses.dataclass(frozen=True)
class Notable:
    """One model: the day it was published, its training FLOPs, where the estimate is from, and how sure it
    is."""

    name: str
    published: str
    train_flops: float
    source: str
    confidence: Literal["confident", "likely", "speculative", "not stated"]

    @property
    def year(self) -> float:
        """Return the date as a decimal year."""
        day = datetime.date.fromisoformat(self.published)
        return day.year + (day.timetuple().tm_yday - 1) / 365.25


TABLE: tuple[Notable, ...] = (
    Notable("Dropout (ImageNet)", "2012-06-03", 2.73e17, "arXiv 1207.0580", "confident"),
    Notable("AlexNet", "2012-09-30", 4.7e17, "Krizhevsky et al., NeurIPS 2012", "confident"),
    Notable("Visualizing CNNs (ZF)", "2013-11-12", 5.32e17, "arXiv 1311.2901", "confident"),
    Notable("DQN", "2013-12-19", 2.85e15, "arXiv 1312.5602", "confident"),
    Notable("RNNsearch-50", "2014-09-01", 1.56e18, "arXiv 1409.0473", "confident"),
    Notable("VGG16", "2014-09-04", 1.23e19, "arXiv 1409.1556", "confident"),
    Notable("Seq2Seq LSTM", "2014-09-10", 5.6e19, "arXiv 1409.3215", "confident"),
    Notable("GoogLeNet", "2014-09-17", 1.51e18, "arXiv 1409.4842", "confident"),
    Notable("AlphaGo Fan", "2015-10-01", 3.8e20, "Silver et al., Nature 529", "likely"),
    Notable("Deep Speech 2", "2015-12-08", 2.6e19, "arXiv 1512.02595", "confident"),
    Notable("ResNet-152", "2015-12-10", 1.04e19, "arXiv 1512.03385", "confident"),
    Notable("AlphaGo Lee", "2016-01-27", 1.9e21, "Silver et al., Nature 529", "speculative"),
    Notable("GNMT", "2016-09-26", 6.62e21, "arXiv 1609.08144", "likely"),
    Notable("Xception", "2016-10-07", 4.36e20, "arXiv 1610.02357", "confident"),
    Notable("Transformer", "2017-06-12", 7.42e18, "Vaswani et al., NeurIPS 2017", "confident"),
    Notable("AlphaGo Zero", "2017-10-18", 3.41e23, "Silver et al., Nature 550", "confident"),
    Notable("AlphaZero", "2017-12-05", 3.67e22, "arXiv 1712.01815", "likely"),
    Notable("AmoebaNet-A", "2018-02-05", 3.85e20, "arXiv 1802.01548", "confident"),
    Notable("ResNeXt-101 32x48d", "2018-05-02", 8.74e21, "arXiv 1805.00932", "confident"),
    Notable("GPT-1", "2018-06-01", 1.76e19, "Radford et al., OpenAI 2018", "likely"),
    Notable("BigGAN-deep", "2018-09-28", 1.8e21, "arXiv 1809.11096", "likely"),
    Notable("BERT-Large", "2018-10-11", 2.85e20, "arXiv 1810.04805", "confident"),
    Notable("GPT-2", "2019-02-14", 1.92e21, "Radford et al., OpenAI 2019", "speculative"),
    Notable("XLNet", "2019-06-01", 6.19e21, "arXiv 1906.08237", "confident"),
    Notable("RoBERTa Large", "2019-07-01", 8.51e21, "arXiv 1907.11692", "confident"),
    Notable("Megatron-LM (8.3B)", "2019-09-17", 9.1e21, "arXiv 1909.08053", "likely"),
    Notable("T5-11B", "2019-10-23", 3.3e22, "arXiv 1910.10683", "confident"),
    Notable("AlphaStar", "2019-10-30", 5.93e22, "Vinyals et al., Nature 575", "confident"),
    Notable("OpenAI Five", "2019-12-13", 6.7e22, "arXiv 1912.06680", "confident"),
    Notable("Turing-NLG", "2020-02-13", 1.57e22, "Microsoft Research 2020", "likely"),
    Notable("GPT-3 175B", "2020-05-28", 3.14e23, "arXiv 2005.14165", "confident"),
    Notable("Switch", "2021-01-11", 8.22e22, "arXiv 2101.03961", "confident"),
    Notable("Megatron-Turing NLG 530B", "2021-10-11", 8.59e23, "arXiv 2201.11990", "confident"),
    Notable("Gopher", "2021-12-08", 6.31e23, "arXiv 2112.11446", "confident"),
    Notable("Chinchilla", "2022-03-29", 5.76e23, "arXiv 2203.15556", "confident"),
    Notable("PaLM 540B", "2022-04-04", 2.53e24, "arXiv 2204.02311", "confident"),
    Notable("LLaMA-65B", "2023-02-24", 5.5e23, "arXiv 2302.13971", "confident"),
    Notable("GPT-4", "2023-03-15", 2.1e25, "arXiv 2303.08774", "speculative"),
    Notable("Llama 2-70B", "2023-07-18", 8.1e23, "arXiv 2307.09288", "confident"),
    Notable("Gemini 1.0 Ultra", "2023-12-06", 5.0e25, "Gemini team, Google 2023", "speculative"),
    Notable("Qwen2-72B", "2024-06-07", 3.02e24, "arXiv 2407.10671", "confident"),
    Notable("Nemotron-4 340B", "2024-06-14", 1.8e25, "NVIDIA 2024", "confident"),
    Notable("Llama 3.1-405B", "2024-07-23", 3.8e25, "The Llama 3 Herd of Models, Meta 2024", "confident"),
    Notable("Grok-2", "2024-08-13", 2.96e25, "xAI 2024", "confident"),
    Notable("Qwen2.5-72B", "2024-09-19", 7.8e24, "Qwen team, Alibaba 2024", "confident"),
    Notable("Hunyuan-Large", "2024-11-06", 3.49e24, "arXiv 2411.02265", "confident"),
    Notable("DeepSeek-V3", "2024-12-24", 3.41e24, "arXiv 2412.19437", "confident"),
    Notable("Grok-3", "2025-02-17", 4.64e26, "xAI 2025", "confident"),
    Notable("Pangu Ultra", "2025-04-10", 1.07e25, "arXiv 2504.07866", "confident"),
    Notable("Nemotron-H 56B", "2025-04-14", 6.72e24, "arXiv 2504.03624", "confident"),
    Notable("Qwen3-32B", "2025-04-29", 7.08e24, "Qwen team, Alibaba 2025", "confident"),
)
SOURCE = "the table in isoflop.paper.notable (Epoch AI's estimates, CC BY 4.0)"


def read_notable_csv(path: Path) -> tuple[tuple[Notable, ...], tuple[Excluded, ...]]:
    """Read models from a CSV with Epoch AI's columns; rows without a date or compute are excluded by name.

    Raises:
        ValueError: no such file, it does not parse, or a column is missing; says what to change.
    """
    rows = formats.read_rows(path)
    name = next((n for n in NAMES if n in rows), None)
    if name is None:
        raise ValueError(
            f"{path}: no column {' or '.join(NAMES)}: {nearest(NAMES[0], map(str, rows.columns))}"
        )
    for column in (DATE, COMPUTE):
        if column not in rows:
            raise ValueError(f"{path}: no column {column}: {nearest(column, map(str, rows.columns))}")
    dates = pd.to_datetime(rows[DATE], errors="coerce", format="mixed")
    flops = pd.to_numeric(rows[COMPUTE], errors="coerce")
    kept: list[Notable] = []
    excluded: list[Excluded] = []
    each = zip(rows[name].astype(str), dates, flops, rows[COMPUTE], strict=True)
    for model, date, count, written in each:
        if number(written) is None:
            excluded.append(Excluded(model, f"{COMPUTE} is {no_number(written)}"))
        elif pd.isna(date) or not count > 0:
            excluded.append(Excluded(model, f"no {DATE}" if pd.isna(date) else f"no {COMPUTE} above 0"))
        else:
            kept.append(Notable(model, f"{date:%Y-%m-%d}", float(count), path.name, "not stated"))
    return tuple(kept), tuple(excluded)
