"""What the pages look like: HTML from templates that escape all they are given, and the headers
that go with it. No script, nothing from elsewhere; the style is allowed by its hash."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from domain.customer_pages import page_text
from domain.messages import Language

#: Colours have a contrast of 7:1 and more (WCAG 1.4.6); targets are 44 px high (2.5.5).
STYLE: Final = """
:root{color-scheme:light dark}
*{box-sizing:border-box}
body{margin:0;font:1.0625rem/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff}
main,footer{max-width:36rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;line-height:1.25}
h2{font-size:1.2rem}
dt{font-weight:600;margin-top:.75rem}
dd{margin:0}
a{color:#0b3d91}
button,.actions a{display:inline-block;min-height:44px;padding:.6rem 1rem;font:inherit}
button{border:0;border-radius:.4rem;background:#0b3d91;color:#fff;cursor:pointer}
button.danger{background:#8c1010}
.actions{list-style:none;padding:0}
.actions a{padding-left:0}
fieldset{border:1px solid #595959;border-radius:.4rem;margin:0 0 1rem;padding:.5rem 1rem}
legend{font-weight:600}
.slots{display:flex;flex-wrap:wrap;gap:.25rem 1rem}
.slot{display:flex;align-items:center;min-height:44px}
.slot input{width:1.25rem;height:1.25rem;margin:0}
.slot label{padding:.6rem .5rem}
textarea{display:block;width:100%;font:inherit;padding:.5rem;border:1px solid #595959}
.notice{border-left:.3rem solid #0b3d91;padding:.6rem 1rem;background:#eef3fb}
.problem{border-color:#8c1010;background:#fbeeee}
:focus-visible{outline:3px solid #0b3d91;outline-offset:2px}
.skip{position:absolute;left:-100rem}
.skip:focus{left:0;padding:.6rem;background:#fff}
@media (prefers-color-scheme:dark){
body{background:#121212;color:#f2f2f2}a{color:#a8c7fa}
button{background:#a8c7fa;color:#101010}button.danger{background:#f6b3b3}
.notice{background:#1c2a40}.problem{background:#401c1c}
fieldset,textarea{border-color:#8f8f8f}
.skip:focus{background:#121212}:focus-visible{outline-color:#a8c7fa}}
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

#: For every answer below /r/: a page about one person, at an address that is a key.
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "vary": "accept-language",
}

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("messaging.pages", "html"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
)


def render(template: str, language: Language, status: int = 200, /, **values: Any) -> HTMLResponse:
    """A page. `values` must name all that the template asks for."""

    def words(key: str, **given: Any) -> str:
        return page_text(language, key, **{name: str(value) for name, value in given.items()})

    given = {"other": None, "problem": None, "done": None, **values}
    html = _ENVIRONMENT.get_template(template).render(
        language=language,
        style=Markup(STYLE),  # noqa: S704 - ours, a constant
        t=words,
        **given,
    )
    return HTMLResponse(html, status, headers={**HEADERS, "content-language": language})


def notice(key: str, language: Language, status: int, headers: Mapping[str, str]) -> HTMLResponse:
    """A page that only says something: `key` is missing, too_many, down or unreadable."""
    answer = render(
        "notice.html",
        language,
        status,
        title=page_text(language, f"{key}_title"),
        message=page_text(language, key),
    )
    answer.headers.update(headers)
    return answer
