"""From samples to a table: medians, ratios to stock, and how they stand to the goals. Prints nothing itself."""

from dataclasses import dataclass
from statistics import median, quantiles

STOCK = "mitmdump"
DIRECT = "direct"
UNMATCHED = "unmatched"
NO_POLICY = "no policy"
BASELINE = "baseline"
COLUMNS = (STOCK, UNMATCHED, NO_POLICY, BASELINE)

type Samples = dict[tuple[str, str], list[float]]
"""(row, column) -> every sample of every round."""


@dataclass(frozen=True)
class Row:
    """A line of the table: how samples become one figure. `added` subtracts the direct route's figure."""

    key: str
    title: str
    percentile: int = 50
    added: bool = False
    samples: str = ""
    """The row of samples it is made from, where that is another."""

    def figure(self, samples: Samples, column: str) -> float | None:
        """The figure of one column, None where it was not measured."""
        values = samples.get((self.samples or self.key, column))
        if not values:
            return None
        figure = self._pick(values)
        return figure - self._pick(samples[self.samples or self.key, DIRECT]) if self.added else figure

    def _pick(self, values: list[float]) -> float:
        if self.percentile == 50 or len(values) < 2:
            return median(values)
        return quantiles(values, n=100, method="inclusive")[self.percentile - 1]


ROWS = (
    Row("request_http1", "2 KB request, HTTP/1, CPU ms"),
    Row("request_http2", "2 KB request, h2, CPU ms"),
    Row("event_burst", "SSE event in a burst, CPU µs"),
    Row("event_paced", "SSE event at a model's pace, CPU µs"),
    Row("first_event_p50", "first event, ms over direct, p50", added=True, samples="first_event"),
    Row("first_event_p99", "first event, ms over direct, p99", 99, added=True, samples="first_event"),
    Row("first_text_p50", "first word, ms over direct, p50", added=True, samples="first_text"),
    Row("first_text_p99", "first word, ms over direct, p99", 99, added=True, samples="first_text"),
    Row("upload_first", "4 MB request, CPU ms"),
    Row("upload_again", "the same 4 MB again, CPU ms"),
    Row("memory_idle", "idle, MiB resident"),
    Row("memory_stream", "open silent stream, MiB"),
)


@dataclass(frozen=True)
class Goal:
    """What a figure should be at most: a share of stock's, or an absolute figure."""

    row: str
    column: str
    at_most: float
    of_stock: bool = True

    def met(self, figures: dict[str, dict[str, float]]) -> tuple[float, bool] | None:
        """The figure compared and whether it is good enough; None where it was not measured."""
        row = figures.get(self.row, {})
        if self.column not in row or (self.of_stock and not row.get(STOCK)):
            return None
        value = row[self.column] / (row[STOCK] if self.of_stock else 1)
        return value, value <= self.at_most


GOALS = (
    Goal("request_http1", UNMATCHED, 0.75),
    Goal("request_http2", UNMATCHED, 0.75),
    Goal("request_http1", BASELINE, 1.0),
    Goal("request_http2", BASELINE, 1.0),
    Goal("event_burst", BASELINE, 50.0, of_stock=False),  # 20,000 events a second on one core
)


def figures(samples: Samples) -> dict[str, dict[str, float]]:
    """Row key -> column -> figure, measured ones only."""
    table = {row.key: {column: row.figure(samples, column) for column in COLUMNS} for row in ROWS}
    return {key: {column: figure for column, figure in row.items() if figure is not None} for key, row in table.items()}


def table(result: dict[str, dict[str, float]]) -> str:
    """The figures for people; beside each the ratio to stock where a ratio makes sense."""
    lines = [f"{'':38}" + "".join(f"{column:>17}" for column in COLUMNS)]
    for row in ROWS:
        cells = (_cell(result[row.key].get(column), result[row.key].get(STOCK), row) for column in COLUMNS)
        lines.append(f"{row.title:38}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


def _cell(figure: float | None, stock: float | None, row: Row) -> str:
    if figure is None:
        return "-"
    ratio = f" ({figure / stock:4.2f}×)" if stock and figure is not stock and not row.added else " " * 8
    return f"{figure:.3g}{ratio}"


def goals(result: dict[str, dict[str, float]]) -> str:
    """One line a goal: met, missed or not measured."""
    return "\n".join(_goal(goal, goal.met(result)) for goal in GOALS)


def _goal(goal: Goal, outcome: tuple[float, bool] | None) -> str:
    unit = "× stock" if goal.of_stock else " µs"
    said = "not measured" if outcome is None else f"{outcome[0]:.2f}{unit}: {'met' if outcome[1] else 'missed'}"
    return f"{goal.row} with {goal.column}, at most {goal.at_most:g}{unit}: {said}"
