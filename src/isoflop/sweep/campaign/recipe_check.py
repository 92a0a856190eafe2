"""Is a recipe one under which large networks train? Decided on training losses at full size.

A recipe that suits narrow networks can leave wide and deep ones badly trained, and their curve then bends for
reasons of its own (docs/training.md, "A bad recipe looks like a floor"). So each candidate trains a large
shape briefly; the one with the least training loss is confirmed on the neighbours in width and depth: neither
more depth nor more width may raise the training loss.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

HEALTHY_LOG_SPREAD = 0.033
"""Standard deviation over seeds of ln(training loss), pooled over the 12 shapes of width 2 to 16 of
results/cifar10-h200-fixed-recipe, 3 seeds each. curve/check/noise.py gives 0.024, without w4 d3, whose seeds
differ by 0.083: a trial has one seed, which cannot show that it is such a shape, so it stays in here."""
ALLOWED_RATIO = math.exp(2 * math.sqrt(2) * HEALTHY_LOG_SPREAD)
"""Two standard errors of the difference between two runs of one seed each: a ratio of 1.10."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A recipe: its name, and the overrides that make it of the shipped one."""

    name: str
    overrides: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class RecipeSearch:
    """What is tried, on which shapes.

    Attributes:
        overrides: of every trial: data, length, and the recipe that candidates change.
        candidates: in the order of preference where losses are equal.
        rate_factors: each candidate's learning rate is that of the shipped recipe times each of these.
        widths, depths: two of each, rising. Candidates are ranked at the first width and the second depth,
            and confirmed on all four shapes.
    """

    overrides: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    rate_factors: tuple[float, ...]
    widths: tuple[int, int]
    depths: tuple[int, int]

    @property
    def ranked_shape(self) -> Shape:
        """The shape on which candidates are compared."""
        return self.widths[0], self.depths[1]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """All shapes on which a recipe is confirmed."""
        return tuple((width, depth) for width in self.widths for depth in self.depths)

    def recipes(self) -> Iterator[Recipe]:
        """Yield each candidate at each rate, in the order of preference."""
        for candidate in self.candidates:
            for factor in self.rate_factors:
                yield Recipe(candidate.name, factor)


Shape = tuple[int, int]
"""Width and depth."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A candidate at a learning rate."""

    candidate: str
    rate_factor: float

    def __str__(self) -> str:
        """Return its name: `mup, rate x 0.5`."""
        return f"{self.candidate}, rate x {self.rate_factor:g}"


Losses = Mapping[tuple[Recipe, Shape], float]
"""Training loss in nats of each trial that has ended; infinity for one that diverged or failed."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two trials that differ in width or in depth: `ratio` is the larger network's training loss over the
    smaller one's, None where one of them has not been trained."""

    smaller: Shape
    larger: Shape
    ratio: float | None

    @property
    def passed(self) -> bool:
        """Whether the larger network trains no worse, within the noise of healthy seeds."""
        return self.ratio is not None and self.ratio <= ALLOWED_RATIO


@dataclasses.dataclass(frozen=True)
class Decision:
    """The recipe that the sweeps take.

    Attributes:
        recipe: its name; None: the shipped one, as no trial gave a training loss.
        overrides: those that make it of the shipped recipe, its learning rate among them.
        accepted: whether it was confirmed on all shapes.
        comparisons: on which that rests.
        rejected: the recipes that were better at the first shape and failed on the others.
        losses: training loss of every trial, by recipe and shape; None for one that diverged or failed.
        message: the decision in one sentence.
        untried: trials that time cut off and that could change the decision; 0: the search is over.
    """

    recipe: Recipe | None
    overrides: tuple[str, ...]
    accepted: bool
    comparisons: tuple[Comparison, ...]
    rejected: tuple[Recipe, ...]
    losses: tuple[TrialLoss, ...]
    message: str
    untried: int = 0


@dataclasses.dataclass(frozen=True)
class TrialLoss:
    """Training loss of one trial in nats; None: it diverged or failed."""

    recipe: Recipe
    width: int
    depth: int
    train_loss: float | None


def rank(search: RecipeSearch, losses: Losses) -> tuple[Recipe, ...]:
    """Return the recipes that have a finite training loss at the ranked shape, the least loss first."""
    scores = {recipe: losses.get((recipe, search.ranked_shape), math.inf) for recipe in search.recipes()}
    return tuple(sorted((r for r in scores if math.isfinite(scores[r])), key=scores.__getitem__))


def compare(search: RecipeSearch, recipe: Recipe, losses: Losses) -> tuple[Comparison, ...]:
    """Return the four comparisons of a recipe: depth at each width, then width at each depth."""
    (narrow, wide), (shallow, deep) = search.widths, search.depths
    pairs = (
        *(((width, shallow), (width, deep)) for width in (narrow, wide)),
        *(((narrow, depth), (wide, depth)) for depth in (shallow, deep)),
    )
    return tuple(
        Comparison(smaller, larger, _ratio(losses.get((recipe, smaller)), losses.get((recipe, larger))))
        for smaller, larger in pairs
    )


def _ratio(smaller: float | None, larger: float | None) -> float | None:
    if smaller is None or larger is None:
        return None
    return larger / smaller if math.isfinite(smaller) else math.inf


def decide(search: RecipeSearch, losses: Losses, rates: Mapping[str, float]) -> Decision:
    """Return the best recipe that is confirmed, else the one that comes nearest to it.

    Without a confirmed one, that is the recipe with the least training loss at the largest shape, and where
    that was not trained, the one with the least at the ranked shape.

    Args:
        search: what was to be tried.
        losses: of the trials that have ended.
        rates: learning rate of each candidate before its factor.

    """
    ranked = rank(search, losses)
    every = tuple(
        TrialLoss(recipe, *shape, loss if math.isfinite(loss) else None)
        for (recipe, shape), loss in losses.items()
    )
    rejected = tuple(recipe for recipe in ranked if _refuted(compare(search, recipe, losses)))
    passing = [recipe for recipe in ranked if confirmed(compare(search, recipe, losses))]
    untried = 0 if passing else _untried(search, losses)
    if not ranked:
        message = "no trial gave a training loss: the sweeps take the shipped recipe, untested"
        return Decision(None, (), False, (), (), every, message, untried)
    largest = (search.widths[1], search.depths[1])
    nearest = min(ranked, key=lambda recipe: (losses.get((recipe, largest), math.inf), ranked.index(recipe)))
    recipe = passing[0] if passing else nearest
    candidate = next(each for each in search.candidates if each.name == recipe.candidate)
    rate = rates[recipe.candidate] * recipe.rate_factor
    comparisons = compare(search, recipe, losses)
    return Decision(
        recipe=recipe,
        overrides=(*candidate.overrides, f"optim.lr={rate:g}"),
        accepted=bool(passing),
        comparisons=comparisons,
        rejected=tuple(each for each in rejected if each != recipe),
        losses=every,
        message=_sentence(recipe, comparisons, accepted=bool(passing)),
        untried=untried,
    )


def _untried(search: RecipeSearch, losses: Losses) -> int:
    """Return how many trials have not ended: of every recipe at the ranked shape, and of those that have a
    finite training loss there on all shapes."""
    wanted = {(recipe, search.ranked_shape) for recipe in search.recipes()}
    wanted |= {(recipe, shape) for recipe in rank(search, losses) for shape in search.shapes}
    return len(wanted - losses.keys())


def confirmed(comparisons: tuple[Comparison, ...]) -> bool:
    """Return whether a recipe has passed all its comparisons."""
    return all(each.passed for each in comparisons)


def _refuted(comparisons: tuple[Comparison, ...]) -> bool:
    return any(each.ratio is not None and not each.passed for each in comparisons)


def _sentence(recipe: Recipe, comparisons: tuple[Comparison, ...], *, accepted: bool) -> str:
    """Return why the recipe was taken; names the comparisons that it failed."""
    if accepted:
        return f"{recipe}: accepted, training loss falls with width and depth at every shape tried"
    failed = [
        f"w{each.larger[0]} d{each.larger[1]} has {each.ratio:.2f} times the training loss of "
        f"w{each.smaller[0]} d{each.smaller[1]}"
        for each in comparisons
        if each.ratio is not None and not each.passed
    ]
    untried = sum(each.ratio is None for each in comparisons)
    if untried:
        failed.append(f"{untried} of {len(comparisons)} comparisons were not made")
    return f"{recipe}: NOT accepted, taken as the best of those tried: {'; '.join(failed)}"
