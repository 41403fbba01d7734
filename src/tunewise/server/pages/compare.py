"""Compare: start a comparison, watch it, read its report. The work is in a process of its own (`jobs.background`)."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse

from tunewise import reports
from tunewise.jobs import background
from tunewise.jobs.background import Job
from tunewise.jobs.compare import last
from tunewise.server.pages.curves import interval
from tunewise.server.pages.doors import Admin, PageRoute, Shut
from tunewise.server.pages.render import language_of, page, wants_piece
from tunewise.store import project_folder

if TYPE_CHECKING:
    from tunewise.server.house import House

REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""For the report only, which is one file with everything inside and its own stricter policy, by hashes. The sandbox
gives it an origin of its own: it can neither read the pages around it nor send their cookies."""


def router(house: House) -> APIRouter:
    """The routes of comparisons."""
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)

    @routes.get("/compare")
    def comparisons(request: Request, asker: Admin) -> Response:
        jobs = [job for job in background.jobs(house.project) if job.kind == "compare"]
        newest = next((job for job in jobs if job.running or job.report), None)
        return page(
            request, "compare.html", who=asker, place="compare", jobs=jobs, job=shown(newest) if newest else None,
            **_setting(house),
        )

    @routes.get("/compare/{id}")
    def comparison(request: Request, asker: Admin, id: str) -> Response:
        found = _job(house, id)
        jobs = [job for job in background.jobs(house.project) if job.kind == "compare"]
        return page(request, "compare.html", who=asker, place="compare", jobs=jobs, job=shown(found), **_setting(house))

    @routes.get("/compare/{id}/live")
    def live(request: Request, asker: Admin, id: str) -> Response:
        return page(request, "job.html", who=asker, job=shown(_job(house, id)))

    @routes.get("/compare/{id}/report")
    def report(request: Request, asker: Admin, id: str) -> Response:
        if id == "last":
            # Compared from the command line: worked out again from its runs.
            result, project = last(house.project), house.project
            text = reports.html(
                result.comparison, result.recommendation, language=project.language, needs=project.needs,
                command="tunewise compare",
            )
        elif (path := _job(house, id).report) is not None:
            text = path.read_text("utf-8")
        else:
            raise Shut(404)
        # Both languages are in the file; it opens in the reader's.
        language = f'data-language="{language_of(request)}"'
        shown = re.sub('data-language="[a-z]+"', language, text, count=1)
        return HTMLResponse(shown, headers={"Content-Security-Policy": REPORT_POLICY, "Cache-Control": "no-store"})

    @routes.post("/compare")
    async def start(
        asker: Admin, approaches: Annotated[list[str] | None, Form()] = None,
        limit: Annotated[str, Form(max_length=9)] = "",
    ) -> Response:
        # A checked form of known names: what is no approach of this project, or no number, is refused.
        chosen = [house.project.approach(name).name for name in approaches or ()]
        most = int(limit) if limit.strip().isdecimal() and int(limit) > 0 else None
        words = ["tunewise", "compare", *(word for name in chosen for word in ("--approach", name))]
        command = shlex.join([*words, "--limit", str(most)] if most else words)
        arguments = {"approaches": chosen, "limit": most}
        job = await run_in_threadpool(
            background.start, house.project, "compare", arguments, command=command, by=asker.name
        )
        await run_in_threadpool(house.state.audit_line, asker.name, "compare.start", job.id, arguments)
        return RedirectResponse(f"/compare/{job.id}", status_code=303)

    @routes.post("/compare/{id}/stop")
    def stop(request: Request, asker: Admin, id: str) -> Response:
        _job(house, id)
        job = background.stop(house.project, id)
        assert job is not None
        house.state.audit_line(asker.name, "compare.stop", id, {})
        if wants_piece(request):
            return page(request, "job.html", who=asker, job=shown(job))
        return RedirectResponse(f"/{'compare' if job.kind == 'compare' else 'runs'}", status_code=303)

    return routes


def _job(house: House, id: str) -> Job:
    found = background.job(house.project, id)
    if found is None:
        raise Shut(404)
    return found


def shown(job: Job) -> dict[str, Any]:
    """A job for the template: its standings best first with their intervals drawn, what it does now, how far it is."""
    now = next((phase for phase in reversed(job.phases) if phase[1] < phase[2]), None)
    best = sorted(job.standings, key=lambda each: -each.quality)
    wanted = list(job.arguments.get("approaches") or ())
    return {
        "job": job, "now": now, "measured": len(job.standings),
        "standings": [{"value": each, "drawn": interval(each.low, each.quality, each.high)} for each in best],
        "waiting": [name for name in wanted if name not in {each.approach for each in job.standings}],
        "minutes": f"{int(job.seconds // 60)}:{int(job.seconds % 60):02d}",
    }


def _setting(house: House) -> dict[str, Any]:
    project = house.project
    questions = project.questions.is_file()
    count = 0
    if questions:
        from tunewise.jobs.examples import split_counts

        count = split_counts(project).get("test", 0)
    return {
        "approaches": [
            {
                "name": approach.name, "trains": approach.recipe is not None,
                "reads": approach.index is not None,
                "minutes": _earlier(house, approach.name),
            }
            for approach in project.approaches
        ],
        "questions": count, "documents": len(house.answering.documents(None)),
        "busy": any(job.running for job in background.jobs(project)),
        "measured_before": (project_folder(project.root) / "runs" / "last.json").is_file(),
    }


def _earlier(house: House, name: str) -> float | None:
    """Minutes that an approach's training took the last time a job measured it."""
    for job in background.jobs(house.project):
        for each in job.standings:
            if each.approach == name and each.train_seconds:
                return each.train_seconds / 60
    return None
