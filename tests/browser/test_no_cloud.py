"""No plot, live or still, offers to send its data anywhere."""

from __future__ import annotations

from tests.browser.conftest import Open
from tests.browser.lab import Lab

CELL = """
from chaosnb.notebook import LivePlot
plot = LivePlot({"data": [{"x": [1, 2], "y": [1, 2]}], "layout": {}})
plot
"""


def test_the_tool_bar_has_no_button_for_the_cloud(lab: Lab, notebook: Open) -> None:
    book = notebook(lab.write("cloud.ipynb", CELL, "plot.close()"))
    book.run_next()
    book.wait_plots(1)
    buttons = book.page.locator(".js-plotly-plot .modebar-btn")

    def titles() -> list[str]:
        return [str(button.get_attribute("data-title")) for button in buttons.all()]

    live = titles()
    assert "Zoom" in live
    book.run_next()
    # Hidden until the mouse is over it.
    book.page.locator(".jp-RenderedPlotly .modebar-btn").first.wait_for(state="attached")
    for title in [*live, *titles()]:
        assert "cloud" not in title.lower()
        assert "share" not in title.lower()
    assert book.foreign == []
