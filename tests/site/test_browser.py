"""The built site in a real browser: `make browser`.

The pages are opened as files, as a reader without a network opens them.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from tests.site.tools import ROOT

HTML = ROOT / "docs" / "_build" / "html"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WIDTHS = (360, 800, 1280)

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="needs advact-jax[browser]")
if CHROMIUM is None:
    pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)
if not (HTML / "explorer.html").exists():
    pytest.skip("needs the built site: make docs", allow_module_level=True)

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def show(browser: Any) -> Iterator[Open]:
    """Open a page; at the end nothing may have gone wrong and nothing been asked of a host."""
    wrong: list[str] = []
    contexts = []

    def opened(name: str, width: int = 1280, scheme: str = "light") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, has_touch=width < 500
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else 0)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda request: wrong.append(request.url))
        page.on(
            "request",
            lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url),
        )
        page.goto(f"file://{HTML}/{name}")
        if name.startswith("explorer"):
            chosen = name.partition("#")[2] or "gelu,silu"
            page.wait_for_selector(f'#explore[data-ready="{chosen}"]')
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def shown(page: Any, name: str) -> list[float]:
    """Return value, slope and curvature in the table of the explorer."""
    cells = page.locator(f'#numbers tr[data-name="{name}"] td')
    return [float(cell.get_attribute("data-value")) for cell in cells.all()]


def wanted(function: Callable[[Any], Any], x: float) -> list[float]:
    slope = jax.grad(function)
    return [float(f(jnp.float32(x))) for f in (function, slope, jax.grad(slope))]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "name", ["index.html", "quickstart.html", "activations/index.html", "activations/gelu.html",
             "accuracy.html", "benchmarks.html", "diagnostics.html", "selection.html",
             "api/linen.html", "explorer.html"],
)  # fmt: skip
def test_pages_load_and_fit(show: Open, name: str, width: int) -> None:
    page = show(name, width)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if name == "activations/gelu.html":
        page.wait_for_selector("mjx-container svg")


def test_sliders_move_the_curve_to_the_values_of_the_library(show: Open) -> None:
    page = show("explorer.html#elu,silu")
    before = page.locator('#curves path[data-name="elu"]').first.get_attribute("d")
    slider = page.get_by_label("alpha")
    slider.focus()
    for key in ("ArrowRight", "ArrowRight", "Home", "ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    told = float(page.locator('output[for="elu-alpha"]').inner_text())
    assert slider.get_attribute("aria-valuetext") == f"{told:g}"
    assert page.locator('#curves path[data-name="elu"]').first.get_attribute("d") != before
    at = page.locator("#at")
    at.focus()
    for _ in range(16):
        page.keyboard.press("ArrowLeft")
    x = float(at.input_value())
    assert x == -1.0
    function = functools.partial(advact_jax.elu, alpha=jnp.float32(told))
    np.testing.assert_allclose(shown(page, "elu"), wanted(function, x), rtol=1e-6)
    np.testing.assert_allclose(shown(page, "silu"), wanted(advact_jax.silu, x), rtol=1e-6)


@pytest.mark.parametrize("name", ["relu", "hard_tanh", "golu", "sine", "derf"])
def test_every_slider_leads_to_the_values_of_the_library(show: Open, name: str) -> None:
    page = show(f"explorer.html#{name}")
    function: Any = getattr(advact_jax, name)
    for end in ("Home", "End"):
        for slider in page.locator("#chosen input").all():
            slider.focus()
            page.keyboard.press(end)
        given = page.evaluate("explorer.parameters()")[name]
        assert [*given] == [*function.spec.parameters]
        arrays = {k: v if v is None else jnp.float32(v) for k, v in given.items()}
        found = shown(page, name)
        np.testing.assert_allclose(
            found, wanted(functools.partial(function, **arrays), 1.0), rtol=2e-6, atol=1e-7
        )


def test_activations_are_added_and_removed_by_keyboard(show: Open) -> None:
    page = show("explorer.html#gelu")
    page.locator("#choice").focus()
    page.keyboard.type("mish")
    page.keyboard.press("Enter")
    page.wait_for_selector('#explore[data-ready="gelu,mish"]')
    assert page.url.endswith("#gelu,mish")
    page.keyboard.type("mihs")
    page.keyboard.press("Enter")
    assert "no mihs" in page.locator("#told").inner_text()
    page.get_by_label("Remove gelu").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector('#explore[data-ready="mish"]')
    assert page.locator("#numbers tr").count() == 1


def test_every_control_is_reached_by_the_tab_key(show: Open) -> None:
    page = show("explorer.html#elu")
    page.locator("#choice").focus()
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
    for control in ("Remove elu", "elu-alpha", "at", "weights", "order"):
        assert control in seen


def test_the_net_and_the_error_follow_their_choices(show: Open) -> None:
    page = show("explorer.html#tanh")
    spread = page.locator(".spread").last
    first = float(spread.get_attribute("data-value"))
    page.select_option("#weights", label="LeCun: variance 1 / inputs")
    assert float(spread.get_attribute("data-value")) < first
    theirs = page.locator('#errors path.theirs[data-name="tanh"]')
    slope = theirs.get_attribute("d")
    page.select_option("#order", label="value")
    assert theirs.get_attribute("d") != slope


@pytest.mark.parametrize("scheme, dark", [("light", False), ("dark", True)])
def test_the_explorer_follows_the_colours_of_the_page(show: Open, scheme: str, dark: bool) -> None:
    page = show("explorer.html", scheme=scheme)

    def brightness(what: str, key: str) -> float:
        rule = page.locator(what).first.evaluate(f"e => getComputedStyle(e).{key}")
        return sum(float(part) for part in rule[rule.index("(") + 1 : -1].split(",")[:3]) / 3

    assert (brightness("body", "backgroundColor") < 80) == dark
    assert (brightness(".numbers td", "color") > 128) == dark
    assert (brightness("#curves text", "fill") > 100) == dark
    # The switch of the page: the other scheme, then this one, then that of the machine.
    page.locator(".theme-toggle:visible").first.click()
    assert (brightness("body", "backgroundColor") < 80) != dark
    assert (brightness("#curves text", "fill") > 100) != dark


def test_links_of_the_explorer_lead_to_the_pages(show: Open) -> None:
    page = show("explorer.html#soft_shrink")
    page.locator("#chosen a").click()
    assert page.locator("h1").inner_text().startswith("soft_shrink")
    page.get_by_role("link", name="The explorer", exact=True).click()
    page.wait_for_selector('#explore[data-ready="soft_shrink"]')


def test_the_search_works_from_a_folder(show: Open) -> None:
    page = show("search.html?q=softplus")
    page.wait_for_selector("#search-results li a")
    links = page.locator("#search-results li a").all()
    assert any("activations/softplus.html" in link.get_attribute("href") for link in links)
