"""Translation scored: BLEU and chrF as sacrebleu computes them, with intervals, and by the source's length.

BLEU (Papineni et al. 2002) is the geometric mean of the shares of an output's 1- to 4-grams that a reference has, times
a penalty for being short; chrF (Popović 2015) the F2 of the 1- to 6-grams of characters. Both are of the whole corpus,
not means over sentences. The values are sacrebleu's own (Post 2018); the intervals redraw sentences with their counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from riverrun.errors import DataError
from riverrun.tasks.measures.classification import Figure
from riverrun.tasks.measures.resampling import Floats, figure

References = Sequence[Sequence[str]]

WORDS = 4  # the longest n-gram of BLEU
CHARACTERS = 6  # the longest of chrF
# Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
BETA = 2  # chrF counts recall so many times as much as precision


def tokens_of(texts: Sequence[str]) -> str:
    """What BLEU counts n-grams of, by sacrebleu's name: of scripts without spaces between words, single characters.

    >>> tokens_of(["A cat sat."]), tokens_of(["我喜欢苹果。"])
    ('13a', 'char')
    """
    letters = sum(sum(map(str.isalpha, text)) for text in texts)
    return "char" if 2 * sum(len(UNSPACED.findall(text)) for text in texts) > letters else "13a"


def figures(outputs: Sequence[str], references: References, *, tokens: str = "13a", seed: int = 0) -> list[Figure]:
    """BLEU and chrF, from 0 to 100; outputs and references are plain text, untokenised.

    tokens: of BLEU, as `tokens_of` says. Raises DataError where sacrebleu is not installed.
    """
    check()
    if not outputs:
        return [Figure(name, np.nan, np.nan, np.nan, "", "higher") for name in ("BLEU", "chrF")]
    bleu = figure("BLEU", _bleu_counts(outputs, references, tokens), bleu_of, "", "higher", seed=seed)
    chrf = figure("chrF", _chrf_counts(outputs, references), chrf_of, "", "higher", seed=seed)
    streams = _streams(references)
    return [
        bleu._replace(value=float(_metric("BLEU", tokens).corpus_score(outputs, streams).score)),
        chrf._replace(value=float(_metric("CHRF").corpus_score(outputs, streams).score)),
    ]


def signature(tokens: str = "13a") -> str:
    """How the figures were computed, as sacrebleu says it, for the record."""
    check()
    from sacrebleu import __version__

    return f"sacrebleu {__version__}: BLEU|tok:{tokens}|smooth:exp|case:mixed, chrF2|nc:6|nw:0|case:mixed"


def check() -> None:
    """DataError where sacrebleu is not installed: before an hour's training, not after it."""
    try:
        import sacrebleu  # noqa: F401
    except ImportError:
        raise DataError(
            "BLEU and chrF need sacrebleu: pip install sacrebleu, or choose another score (--score)."
        ) from None


def _metric(name: str, tokens: str = "13a") -> Any:
    from importlib import import_module

    metrics: Any = import_module("sacrebleu.metrics")
    # force: no warning that a corpus looks tokenised.
    return (
        metrics.BLEU(tokenize=tokens, force=True) if name == "BLEU" else metrics.CHRF(char_order=CHARACTERS, beta=BETA)
    )


def _streams(references: References) -> list[list[str | None]]:
    """The first reference of every sentence, the second of every sentence, ...: None where there is none."""
    most = max((len(row) for row in references), default=0)
    return [[row[k] if k < len(row) else None for row in references] for k in range(most)]


def _bleu_counts(outputs: Sequence[str], references: References, tokens: str = "13a") -> Floats:
    """[N, 10]: n-grams that a reference has, all n-grams, for n = 1 to 4, the output's and the reference's length."""
    metric, rows = _metric("BLEU", tokens), []
    for output, row in zip(outputs, references, strict=True):
        found = metric.corpus_score([output], [[one] for one in row])
        rows.append([*found.counts, *found.totals, found.sys_len, found.ref_len])
    return np.array(rows, np.float64)


def bleu_of(sums: Floats) -> Floats:
    """BLEU of summed counts, [D, 10] -> [D]; orders without a match count as sacrebleu's "exp" smoothing has it."""
    right, total, length, wanted = sums[:, :WORDS], sums[:, WORDS : 2 * WORDS], sums[:, -2], sums[:, -1]
    halved = np.where((right == 0) & (total > 0), 0.5, 1.0).cumprod(1)  # 1/2, 1/4, ... for one zero after another
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(right > 0, right, halved) / total
        penalty = np.where(length < wanted, np.exp(1 - wanted / length), 1.0)
        found: Floats = 100 * penalty * np.exp(np.log(shares).mean(1))
    return np.where((right > 0).any(1) & (total > 0).all(1), found, 0.0)


def _chrf_counts(outputs: Sequence[str], references: References) -> Floats:
    """[N, 18]: n-grams of the output, of its best reference, of both, for n = 1 to 6. Spaces do not count."""
    rows = []
    for output, row in zip(outputs, references, strict=True):
        own = _grams(output)
        tables = []
        for reference in row:
            counts = [
                [sum(a.values()) if b else 0, sum(b.values()), sum((a & b).values())]
                for a, b in zip(own, _grams(reference), strict=True)
            ]
            tables.append(np.array(counts, np.float64).ravel())
        best = int(np.argmax(chrf_of(np.stack(tables))))
        rows.append(tables[best])
    return np.stack(rows)


def _grams(text: str) -> list[Counter[str]]:
    letters = "".join(text.split())
    return [Counter(letters[i : i + n] for i in range(len(letters) - n + 1)) for n in range(1, CHARACTERS + 1)]


def chrf_of(sums: Floats) -> Floats:
    """chrF of summed counts, [D, 18] -> [D]: the F2 of the mean precision and recall of the orders that there are."""
    own, wanted, both = sums.reshape(len(sums), CHARACTERS, 3).transpose(2, 0, 1)  # [D, 6] each
    there = (own > 0) & (wanted > 0)
    orders = np.maximum(there.sum(1), 1)
    precision = np.divide(both, own, out=np.zeros_like(both), where=there).sum(1) / orders
    recall = np.divide(both, wanted, out=np.zeros_like(both), where=there).sum(1) / orders
    below = BETA**2 * precision + recall
    above = (1 + BETA**2) * precision * recall
    found: Floats = 100 * np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return found


def by_length(
    outputs: Sequence[str],
    references: References,
    lengths: Sequence[int],
    measure: Callable[[Sequence[str], References], list[Figure]] = figures,
    *,
    rows: int = 6,
    least: int = 50,
) -> list[dict[str, Any]]:
    """The rows of lengths.json: the figures of sources of about equal length.

    lengths: of each source. measure: outputs and references -> figures. rows: how many there are, at most, of about as
    many sources each. least: sources in a row, at least.
    """
    values = np.asarray(lengths)
    found = []
    for low, high in spans(values, rows=rows, least=least):
        places = np.flatnonzero((values >= low) & (values <= high)).tolist()
        measured = measure([outputs[i] for i in places], [references[i] for i in places])
        shown = {one.name: {key: _finite(getattr(one, key)) for key in ("value", "low", "high")} for one in measured}
        found.append({"low": low, "high": high, "count": len(places), "figures": shown})
    return found


def spans(lengths: Any, *, rows: int = 6, least: int = 50) -> list[tuple[int, int]]:
    """Ranges of lengths, both ends included, that hold about as many items each, and together all of them.

    >>> spans([1] * 5 + [2] * 5 + [3] * 3 + [9], rows=3, least=4)
    [(1, 1), (2, 2), (3, 9)]
    """
    values, counts = np.unique(np.asarray(lengths), return_counts=True)
    share = max(least, counts.sum() / rows)
    found: list[tuple[int, int]] = []
    begin, held = 0, 0
    for k, count in enumerate(counts):
        held += count
        if held >= share:
            found.append((int(values[begin]), int(values[k])))
            begin, held = k + 1, 0
    if held:  # too few are left for a row of their own
        last = (int(values[begin]), int(values[-1]))
        if found and held < least:
            last = (found.pop()[0], last[1])
        found.append(last)
    return found


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
