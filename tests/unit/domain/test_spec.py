"""The spec file: what it means, and every error at once."""

import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gauntlet.domain.spec import Range, Spec, SpecError, Task

from .conftest import HOUSES, LOANS, REPOSITORY


def errors_of(text: str, name: str = "houses") -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as caught:
        Spec.parse(name, text)
    return list(caught.value.errors)


def test_a_spec_reads_as_written(houses: Spec) -> None:
    assert houses.task is Task.REGRESSION
    assert houses.numeric == {"area": Range(min=10, max=500.5), "price": Range(min=1, max=10000)}
    assert houses.categorical == {"town": ("Ulm", "Bern", "Graz")}
    assert (houses.key, houses.schedule, houses.trusted_types, houses.thresholds.psi) == (None, "", (), None)


def test_columns_by_role() -> None:
    spec = Spec.parse("houses", 'key = "id"\n' + HOUSES)
    assert spec.columns == ("id", "area", "price", "town")
    assert spec.variables == ("area", "price", "town")
    assert spec.features == ("area", "town")
    assert (spec.numeric_features, spec.categorical_features, spec.classes) == (("area",), ("town",), ())


def test_a_classification_has_its_classes_in_the_files_order(loans: Spec) -> None:
    assert loans.classes == ("late", "paid", "lost")
    assert loans.features == ("amount", "kind")


def test_a_spec_cannot_be_changed(houses: Spec) -> None:
    with pytest.raises(ValidationError):
        houses.target = "area"  # type: ignore[misc]


@pytest.mark.parametrize("name", [path.stem for path in sorted((REPOSITORY / "specs").glob("*.toml"))])
def test_the_specs_that_are_shipped_are_right(name: str) -> None:
    spec = Spec.parse(name, (REPOSITORY / "specs" / f"{name}.toml").read_text())
    assert Spec.from_json(spec.to_json()) == spec


@given(
    bounds=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2, unique=True).map(sorted),
    categories=st.lists(st.text(), min_size=1, max_size=5, unique=True),
    key=st.none() | st.text(min_size=1).filter(lambda key: key not in {"area", "price", "town", "row_id", "arm"}),
    mde=st.none() | st.floats(0.001, 0.999),
)
def test_json_gives_the_same_spec(
    bounds: list[float], categories: list[str], key: str | None, mde: float | None
) -> None:
    houses = Spec.parse("houses", HOUSES)
    spec = houses.model_copy(
        update={
            "key": key,
            "numeric": {**houses.numeric, "area": Range(min=bounds[0], max=bounds[1])},
            "categorical": {"town": tuple(categories)},
            "thresholds": houses.thresholds.model_copy(update={"mde": mde}),
        }
    )
    again = Spec.from_json(spec.to_json())
    assert again == spec
    assert list(again.numeric) == list(spec.numeric)


def test_json_that_is_no_spec_is_refused() -> None:
    for text in ("", "[]", "{}", "3"):
        with pytest.raises(SpecError, match="must be a spec as JSON, with its name"):
            Spec.from_json(text)


def test_every_error_is_told_at_once() -> None:
    wrong = """
        titel = "Price"
        data = "s3://bucket/houses"
        target = "prise"
        task = "regresion"
        metric = 5
        segments = ["twon"]
        candidates = []
        seed = -1
        [numeric]
        area = { min = 3, max = 1 }
        price = { min = "1", max = inf, mx = 2 }
        row_id = { min = true, max = 3 }
        [categorical]
        town = ["Ulm", "Bern", "Ulm"]
        kind = [1]
        [thresholds]
        psi = -1
        min_rows = 1.5
    """
    with pytest.raises(SpecError) as caught:
        Spec.parse("Houses", wrong)
    assert str(caught.value) == "\n  ".join(
        (
            "spec Houses: 21 errors",
            "title: must be given; found nothing. Add it.",
            "task: must be 'regression' or 'classification'; found \"regresion\". Choose one of them.",
            "metric: must be text; found 5. Write it in quotes.",
            "candidates: must not be empty; found []. List at least one.",
            "seed: must be at least 0; found -1. Raise it.",
            'numeric.price.min: must be a number; found "1". Write it without quotes.',
            "numeric.price.max: must be a finite number; found inf. Write the widest value that can occur.",
            'numeric.price.mx: is not a key of a spec; found "mx". Did you mean "max"?',
            "numeric.row_id.min: must be a number; found true. Write it without quotes.",
            "categorical.kind.0: must be text; found 1. Write it in quotes.",
            "thresholds.psi: must be more than 0; found -1. Raise it.",
            "thresholds.min_rows: must be a whole number; found 1.5. Write it without quotes or fractions.",
            'titel: is not a key of a spec; found "titel". Did you mean "title"?',
            "name: the file's name must be 1 to 63 of a-z, 0-9 and _, beginning with a letter; "
            'found "Houses". Rename the file.',
            'data: must be PACKAGE:FILE with a file inside a top-level package; found "s3://bucket/houses". '
            'For example "plotnine:data/diamonds.csv".',
            'data: must name a CSV or parquet file; found "s3://bucket/houses". '
            "Let the name end with .csv or .parquet.",
            "numeric.area: min must be less than max; found min = 3, max = 1. Exchange or widen them.",
            'categorical.town: categories must differ; found "Ulm" 2 times. Leave one.',
            "numeric.row_id: the names row_id and arm are the router's own; "
            'found "row_id". Rename the column in the file.',
            'target: must be listed under [numeric] or [categorical]; found "prise". '
            'List it there. Did you mean "price"?',
            'segments: a segment must be a categorical column; found unknown "twon". Did you mean "town"?',
        )
    )


@pytest.mark.parametrize(
    ("old", "new", "key", "text"),
    [
        (
            'metric = "mae"',
            'metric = "rmse"',
            "metric",
            'must be "mae" for a regression; found "rmse". Set metric = "mae".',
        ),
        (
            'target = "price"',
            'target = "town"',
            "target",
            'the target of a regression must be numeric; found categorical "town". '
            'Move it, or set task = "classification".',
        ),
        (
            'segments = ["town"]',
            'segments = ["area"]',
            "segments",
            'a segment must be a categorical column; found numeric "area". Known: town.',
        ),
        (
            '"hist_gradient_boosting"',
            '"random_forrest"',
            "candidates",
            'a candidate must be built in for a regression, or package.module:factory; found "random_forrest". '
            'Did you mean "random_forest"?',
        ),
        (
            '"hist_gradient_boosting"',
            '"pkg.mod:9lives"',
            "candidates",
            'a candidate of your own must be package.module:factory; found "pkg.mod:9lives". '
            'For example "my_models.trees:make".',
        ),
        (
            '"hist_gradient_boosting"',
            '"linear"',
            "candidates",
            'candidates must differ; found "linear" 2 times. Leave one.',
        ),
        (
            "seed = 7",
            'key = "town"',
            "key",
            "must be a column of its own, neither numeric nor categorical nor the router's; "
            'found "town". Remove it from the other table, or name another column.',
        ),
        (
            "seed = 7",
            'schedule = "every tuesday"',
            "schedule",
            "must be empty, one of @hourly, @daily, @weekly, @monthly, @quarterly, @yearly, @once, @continuous, or "
            'cron\'s five fields that come true on some day; found "every tuesday". For example "30 6 * * mon-fri".',
        ),
        (
            'data = "houses.csv"',
            'data = "towns.germany:houses.csv"',
            "data",
            'must be PACKAGE:FILE with a file inside a top-level package; found "towns.germany:houses.csv". '
            'For example "plotnine:data/diamonds.csv".',
        ),
        ("seed = 7", "schedule = 5", "schedule", "must be text; found 5. Write it in quotes."),
        (
            "seed = 7",
            "seed = true",
            "seed",
            "must be a whole number; found true. Write it without quotes or fractions.",
        ),
        (
            "seed = 7",
            'name = "x"',
            "name",
            'is not a key of a spec; found "name". Remove it: the file\'s name is the name.',
        ),
        (
            'town = ["Ulm", "Bern", "Graz"]',
            'area = ["Ulm"]\ntown = ["Ulm"]',
            "categorical.area",
            'a column must be either numeric or categorical; found "area" in both. Remove it from one table.',
        ),
        (
            "area = { min = 10, max = 500.5 }",
            "area = 5",
            "numeric.area",
            "must be a table; found 5. Write it as { key = value, ... }.",
        ),
    ],
)
def test_each_error_states_rule_found_and_remedy(old: str, new: str, key: str, text: str) -> None:
    assert old in HOUSES
    assert errors_of(HOUSES.replace(old, new)) == [(key, text)]


SCORED = """
retrain = "30 6 * * mon"

[predict]
schedule = "@hourly"
after_promotion = true
model = "best:mae"
columns = ["town", "owner"]
where = [["area", ">", 20.5], ["town", "in", ["Ulm", "Bern"]], ["sold", "==", false]]
"""


def test_how_files_are_scored() -> None:
    spec = Spec.parse("houses", SCORED.replace("[predict]", HOUSES + "[predict]"))
    assert (spec.retrain, spec.predict.schedule, spec.predict.after_promotion) == ("30 6 * * mon", "@hourly", True)
    assert (spec.predict.model, spec.predict.columns) == ("best:mae", ("town", "owner"))
    assert spec.predict.where == (("area", ">", 20.5), ("town", "in", ["Ulm", "Bern"]), ("sold", "==", False))
    assert Spec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("line", "key", "text"),
    [
        (
            'schedule = "@once"',
            "schedule",
            "must be empty, one of @hourly, @daily, @weekly, @monthly, @quarterly, @yearly, or cron's five fields that "
            'come true on some day; found "@once". For example "30 6 * * mon-fri".',
        ),
        ("after_promotion = 1", "after_promotion", "must be true or false; found 1. Write it without quotes."),
        ('columns = ["a", "b", "a"]', "columns", 'columns must differ; found "a" 2 times. Leave one.'),
        (
            'model = "newest"',
            "model",
            'must be "production", "best:METRIC" or "version:N"; found "newest". '
            'For example "best:mae" or "version:3".',
        ),
        (
            'model = "best:log_loss"',
            "model",
            'the metric of a regression must be one of mae, rmse, r2; found "log_loss". For example "best:mae".',
        ),
        ('where = [["a", "=="]]', "where.0.2", "must be given; found nothing. Add it."),
        (
            'where = [["a", "==", 1, 2]]',
            "where.0",
            "must have at most 3 items; found ['a', '==', 1, 2]. Remove the others.",
        ),
        (
            'where = [["a", "==", 1], ["a", "like", "b"]]',
            "where.1.1",
            'must be one of ==, !=, <, <=, >, >=, in, not in; found "like". Choose one of them.',
        ),
        (
            'where = [["a", "<", nan]]',
            "where.0.2",
            "must be a finite number, a text, true or false; found nan. "
            'A list goes with "in" and "not in"; a date is written as text.',
        ),
        (
            'where = [["a", "==", ["b"]]]',
            "where.0.2",
            "must be a finite number, a text, true or false; found ['b']. "
            'A list goes with "in" and "not in"; a date is written as text.',
        ),
        *(
            (
                f'where = [["a", "not in", {value}]]',
                "where.0.2",
                'what comes after "not in" must be a list of numbers, of texts, or of true and false; '
                f'found {shown}. For example ["Good", "Ideal"].',
            )
            for value, shown in (
                ("1", "1"), ("[]", "[]"), ('[1, "b"]', "[1, 'b']"), ("[true, 1]", "[True, 1]"), ("[[1]]", "[[1]]"),
                ("2026-11-20", "datetime.date(2026, 11, 20)"),
            )
        ),
    ],
)  # fmt: skip
def test_each_error_in_how_files_are_scored(line: str, key: str, text: str) -> None:
    assert errors_of(f"{HOUSES}\n[predict]\n{line}\n") == [(f"predict.{key}", text)]


def test_a_target_needs_features_and_a_class_needs_another() -> None:
    lonely = HOUSES.replace("area = { min = 10, max = 500.5 }\n", "").replace('town = ["Ulm", "Bern", "Graz"]', "")
    assert (
        "numeric",
        "at least one column beside the target must be listed; found none. "
        "Add features under [numeric] or [categorical].",
    ) in errors_of(lonely)
    assert errors_of(LOANS.replace('["late", "paid", "lost"]', '["late"]'), "loans") == [
        (
            "categorical.outcome",
            "the target of a classification must have at least two categories; found ['late']. List them all.",
        )
    ]
    numeric = LOANS.replace('target = "outcome"', 'target = "amount"')
    assert [key for key, _ in errors_of(numeric, "loans")] == ["target"]


def test_text_that_is_no_toml_is_one_error() -> None:
    ((key, text),) = errors_of("title = = 3")
    assert key == "(file)"
    assert text.startswith('must be TOML in UTF-8; found "Invalid value (at line 1, column 9)"')


@pytest.mark.parametrize(
    "text",
    [
        HOUSES.replace("house", "Häuschen").encode("latin-1"),
        HOUSES.encode("utf-16"),
        HOUSES.encode("utf-8-sig"),
        "seed = " + "9" * 5000,
        "segments = " + "[" * 5000,
    ],
    ids=["latin-1", "utf-16", "byte order mark", "endless number", "endless lists"],
)
def test_a_file_that_cannot_be_read_is_one_error(text: str | bytes) -> None:
    with pytest.raises(SpecError) as caught:
        Spec.parse("houses", text)
    ((key, found),) = caught.value.errors
    assert key == "(file)"
    assert found.startswith("must be TOML in UTF-8; found ")
    assert found.endswith(". Mend the file at that place.")


def test_a_file_is_read_as_utf_8() -> None:
    text = HOUSES.replace("Price of a house", "Häuschen")
    assert Spec.parse("houses", text.encode()) == Spec.parse("houses", text)
    assert Spec.parse("houses", text.encode()).title == "Häuschen"


def test_a_range_of_endless_numbers_is_an_error_by_its_key() -> None:
    assert tuple(sorted({key for key, _ in errors_of(HOUSES.replace("max = 500.5", "max = -" + "9" * 400))})) == (
        "numeric.area",
        "numeric.area.max",
    )


def test_an_error_crosses_processes() -> None:
    error = SpecError("houses", (("title", "must be given"),))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(again), again.errors, again.name) == (str(error), error.errors, error.name)


def test_reading_a_spec_imports_nothing_heavy() -> None:
    code = (
        "import sys, gauntlet.domain.spec; "
        "print([name for name in ('numpy', 'pandas', 'sklearn', 'scipy', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
