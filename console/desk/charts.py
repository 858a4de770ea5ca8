"""The manager's chart as an Altair specification in our own look, and the program that draws it.

Altair and the drawing engine (a whole V8, which holds Python's lock for seconds) live in a process of their own, which
`drawings.py` starts: `python -P charts.py` reads one request as JSON from its input and writes the answer.
"""

import gzip
import json
import os
import sys
from typing import Any

KINDS = ("whatsapp", "email", "webchat", "telegram", "sms", "slack")  # the stacking order, from the foot up
HUES = ("var(--wa)", "var(--mail)", "var(--web)", "var(--tg)", "var(--sms)", "var(--slack)")
# the channels' glyphs (static/icons.svg) in the square of -1 to 1 that Vega wants; its parser loses a Z before an M
GLYPHS = (
    "M-.725 .725L-.625 .3625A.75 .75 0 1 1 -.3375 .625Z",
    "M-.775 -.5875H.775V.5875H-.775V-.5875M-.7125 -.4375L0 .1L.7125 -.4375",
    "M-.775 -.6875H.775V.6875H-.775V-.6875M-.775 -.3H.775M-.375 .125H.375M-.375 .375H.0625",
    "M.775 -.6875L.4875 .6875L-.0125 .3375L-.2625 .5875L-.325 .1375L.775 -.6875M.775 -.6875L-.775 -.0875L-.325 .1375",
    "M-.7375 -.6875H.775V.4H0L-.4 .7375V.4H-.7375V-.6875M-.4 -.1375h.05M-.025 -.1375h.05M.35 -.1375h.05",
    "M-.2125 -.75L-.4125 .75M.4125 -.75L.2125 .75M-.6875 -.2875H.725M-.725 .2875H.6875",
)
FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif'
SEPARATORS = {"es": (",", "."), "en": (".", ","), "pt": (",", ".")}  # decimal, thousands
THEME = {
    "aria": False,  # the figure around it has the name, the table beside it the numbers
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--text-3)",
        "labelFontSize": 11.5,
        "gridColor": "var(--line)",
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "title": None,
    },
    "text": {"fontSize": 11.5, "color": "var(--text)"},
}


def mix(language: str) -> dict[str, Any]:
    """Stacked columns by day and channel; lines are named at their right end, the highest day at its head.

    The specification holds no numbers: they come as datasets `bars` (day, series, kind, rank, n, tip, href), `names`
    (day, name, kind, middle, at), `ticks` (day, text) and `peak` (day, n, text), and as the parameters `top` (end of
    the axis) and `gap` (the white line between pieces, in px).
    """
    import altair as alt  # here, because only the drawing process can afford it

    top, gap = alt.param(name="top", value=10), alt.param(name="gap", value=1)
    day = alt.X("day:O", axis=None, scale=alt.Scale(paddingInner=0.18, paddingOuter=0.1))
    up = alt.Scale(domain=alt.ExprRef("[0, top]"), nice=False)
    levels = alt.Axis(tickCount=4, tickMinStep=1, format=",d")
    hue = alt.Color("kind:N", scale=alt.Scale(domain=list(KINDS), range=list(HUES)), legend=None)
    glyph = alt.Shape("kind:N", scale=alt.Scale(domain=list(KINDS), range=list(GLYPHS)), legend=None)

    bars = (
        alt.Chart(alt.NamedData("bars"))
        .mark_bar(stroke="var(--surface)", strokeWidth=alt.ExprRef("gap"), cornerRadius=1.5)
        .encode(
            x=day,
            y=alt.Y("n:Q", scale=up, axis=levels),
            color=hue,
            detail="series:N",
            order=alt.Order("rank:Q"),
            tooltip="tip:N",
            href="href:N",
        )
    )
    ticks = (
        alt.Chart(alt.NamedData("ticks"))
        .mark_text(color="var(--text-3)", baseline="top")
        .encode(x=day, y=alt.value(alt.ExprRef("height + 8")), text="text:N")
    )
    peak = (
        alt.Chart(alt.NamedData("peak"))
        .mark_text(baseline="bottom", dy=-4, fontWeight=500)
        .encode(x=day, y=alt.Y("n:Q", scale=up), text="text:N")
    )
    names = alt.Chart(alt.NamedData("names"))
    away = {n: alt.value(alt.ExprRef(f"width + {n}")) for n in (2, 14, 24, 36)}
    at = alt.Y("at:Q", scale=up)
    leaders = names.mark_rule(strokeWidth=1, opacity=0.7).encode(
        x=away[2], x2=away[14], y=alt.Y("middle:Q", scale=up), y2="at:Q", color=hue
    )
    signs = names.mark_point(filled=False, size=190, strokeWidth=1.5, opacity=1).encode(
        x=away[24], y=at, color=hue, shape=glyph
    )
    words = names.mark_text(align="left", baseline="middle").encode(x=away[36], y=at, text="name:N")
    chart = alt.layer(bars, leaders, signs, words, ticks, peak).resolve_scale(shape="independent")
    chart = chart.add_params(top, gap).properties(
        width=480, height=230, padding={"left": 4, "top": 18, "right": 4, "bottom": 6}
    )
    found: dict[str, Any] = chart.configure(**THEME).to_dict()
    found["usermeta"] = {"embedOptions": {"formatLocale": locale(language)}}
    return found


def locale(language: str) -> dict[str, Any]:
    """How numbers are written, in d3's words."""
    decimal, thousands = SEPARATORS[language]
    return {"decimal": decimal, "thousands": thousands, "grouping": [3], "currency": ["", ""]}


def answer(asked: dict[str, Any]) -> bytes:
    """Carry out one request: want = spec (language) | svg (spec) | bundle."""
    import vl_convert  # here, because only the drawing process can afford it

    match asked["want"]:
        case "spec":
            return json.dumps(mix(asked["language"])).encode()
        case "svg":
            spec = asked["spec"]
            numbers = spec["usermeta"]["embedOptions"]["formatLocale"]
            return str(vl_convert.vegalite_to_svg(spec, format_locale=numbers)).encode()
        case "bundle":
            return gzip.compress(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode(), mtime=0)
        case other:
            raise ValueError(f"cannot draw {other}")


def main() -> None:
    """One request, one answer. The server's own work goes first: this process is a patient one."""
    os.nice(5)
    sys.stdout.buffer.write(answer(json.load(sys.stdin.buffer)))


if __name__ == "__main__":
    main()
