"""Runs: what was trained, how its loss fell, what it cost so far; trainings that run now, and how to stop them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from tunewise.jobs import background
from tunewise.jobs.background import Job
from tunewise.project import RECIPES
from tunewise.server.pages.curves import curve
from tunewise.server.pages.doors import Admin, PageRoute, Shut
from tunewise.server.pages.render import page, wants_piece
from tunewise.store import project_folder, read_json

if TYPE_CHECKING:
    from tunewise.server.house import House


def router(house: House) -> APIRouter:
    """The routes of runs."""
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)

    @routes.get("/runs")
    def runs(request: Request, asker: Admin) -> Response:
        template = "runs-list.html" if wants_piece(request) else "runs.html"
        return page(request, template, who=asker, place="runs", **_shown(house))

    @routes.post("/runs")
    async def start(asker: Admin, recipe: Annotated[str, Form()]) -> Response:
        if recipe not in RECIPES:
            raise Shut(404)
        command = shlex.join(["tunewise", "tune", recipe])
        job = await run_in_threadpool(
            background.start, house.project, "tune", {"recipe": recipe}, command=command, by=asker.name
        )
        await run_in_threadpool(house.state.audit_line, asker.name, "tune.start", job.id, {"recipe": recipe})
        return RedirectResponse("/runs", status_code=303)

    @routes.post("/runs/{id}/stop")
    def stop(request: Request, asker: Admin, id: str) -> Response:
        if background.stop(house.project, id) is None:
            raise Shut(404)
        house.state.audit_line(asker.name, "run.stop", id, {})
        if not wants_piece(request):
            return RedirectResponse("/runs", status_code=303)
        return page(request, "runs-list.html", who=asker, **_shown(house))

    return routes


def _shown(house: House) -> dict[str, Any]:
    project = house.project
    jobs = background.jobs(project)
    running = [_job(house, job) for job in jobs if job.running]
    adapters = [_adapter(house, folder) for folder in _adapters(project_folder(project.root) / "adapters")]
    seconds = sum(each["seconds"] for each in adapters)
    return {
        "running": running, "jobs": [job for job in jobs if not job.running], "adapters": adapters, "recipes": RECIPES,
        "busy": bool(running), "hours": seconds / 3600, "money": seconds / 3600 * project.needs.price_cpu_hour,
        "price": project.needs.price_cpu_hour,
    }


def _adapters(folder: Path) -> list[Path]:
    """Finished adapters, newest first: the manifest is written last, so without it one is not finished."""
    found = folder.glob("*/tunewise.json") if folder.is_dir() else ()
    return [file.parent for file in sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)]


def _adapter(house: House, folder: Path) -> dict[str, Any]:
    about = read_json(folder / "tunewise.json")
    history = [(point["step"], point["loss"]) for point in about["history"]]
    looks = [(point["step"], point["loss"]) for point in about.get("validation") or ()]
    return {
        "name": folder.name, "recipe": about["recipe"], "model": about["model"], "rows": about["rows"],
        "seconds": about["seconds"], "tokens": about["tokens"], "parameters": about["trained_parameters"],
        "memory": about["peak_memory_bytes"], "precision": about["precision"], "resumed": about["resumed"],
        "first": history[0][1] if history else None, "last": history[-1][1] if history else None,
        "steps": history[-1][0] if history else 0, "curve": curve(history, looks=looks), "groups": about["groups"],
        "money": about["seconds"] / 3600 * house.project.needs.price_cpu_hour,
    }


def _job(house: House, job: Job) -> dict[str, Any]:
    """A job that runs now, with the loss of the training that it is in, from its newest checkpoint."""
    training = next((phase for phase in reversed(job.phases) if phase[0].startswith("train")), None)
    history, looks = _live(project_folder(house.project.root) / "adapters") if training else ([], [])
    return {
        "job": job, "now": job.phases[-1] if job.phases else None, "training": training,
        "curve": curve(history, steps=training[2] if training else None, looks=looks),
        "minutes": f"{int(job.seconds // 60)}:{int(job.seconds % 60):02d}",
        "money": job.seconds / 3600 * house.project.needs.price_cpu_hour,
    }


def _live(folder: Path) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(step, loss) so far of the adapter that is being trained, and on validation questions: of the newest checkpoint
    of an unfinished folder."""
    states = [
        state for state in folder.glob("*/checkpoints/*/checkpoint-*/trainer_state.json")
        if not (state.parents[3] / "tunewise.json").is_file()
    ]
    if not states:
        return [], []
    newest = max(states, key=lambda file: file.stat().st_mtime)
    try:
        log = json.loads(newest.read_text("utf-8"))["log_history"]
    except (OSError, ValueError):
        # It is being written, or was cleared away between the two looks: the next look finds it.
        return [], []
    trained, looked = ([(line["step"], line[key]) for line in log if key in line] for key in ("loss", "eval_loss"))
    return trained, looked
