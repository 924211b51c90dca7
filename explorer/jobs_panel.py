"""Jobs of a workspace, read from disk: progress while one runs, its end, its log; started and cancelled from here.

While a job runs a fragment polls once a second; when one ends the page reruns once, so that new results appear.
Without one a fragment looks every few seconds whether a job was begun elsewhere: the names in one folder, nothing
else. A reload or a second tab shows the same: nothing lives in the session.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

import streamlit as st

from curation import jobs
from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import state
from explorer.views.overview import JobLine, job_line, worth_showing

_DISMISSED = "jobs.dismissed"
_STOPPING = "jobs.stopping"
JOB_ID = object()
POLL = "1s"
IDLE_POLL = "4s"
DRAWN_MAX = 4
LOG_SHOWN = 6000  # characters, the last ones


def launch(workspace: Workspace, argv: Sequence[str], *, title: str, **params: object) -> NoReturn:
    """Start `python -m curation ARGV` and rerun the page, so that its progress shows; `params` go into the address.

    None removes a parameter, `JOB_ID` becomes the id of the job. When it cannot be started the next run says why.
    """
    try:
        job_id = jobs.launch(workspace, argv, title=title)
    except (ConcordError, OSError) as error:
        st.session_state["jobs.error"] = f"{title} could not be started: {error}"
    else:
        st.session_state.pop("jobs.error", None)
        state.set_params(**{name: job_id if value == JOB_ID else value for name, value in params.items()})
    st.rerun()


def is_running(workspace: Workspace) -> bool:
    """True while a job of this workspace is queued or running; a second one would have to wait for its lock."""
    return bool(jobs.running_jobs(workspace))


def command_line(workspace: Workspace, verb: str = "run", *options: str) -> str:
    """The command that does the same, with the settings that differ from the defaults, to copy."""
    words = ["python", "-m", "curation", verb, str(workspace.path), *options]
    for key, value in sorted(workspace.settings.items()):
        words += ["--set", f"{key}={value}"]
    return shlex.join(words)


def draw(workspace: Workspace, *, every_stage: bool = False) -> None:
    """Draw the running jobs, or how the last one ended. Nothing when there were none.

    `every_stage`: the page reruns also when a job goes on to its next stage, not only at its end.
    """
    if "jobs.error" in st.session_state:
        st.text(st.session_state["jobs.error"])
    running = jobs.running_jobs(workspace)
    if running:
        stages = {record["id"]: record.get("stage") for record in running[:DRAWN_MAX]}
        _polling(workspace, stages, every_stage)
        if len(running) > DRAWN_MAX:
            st.caption(f"{len(running) - DRAWN_MAX} more jobs are running.")
        return
    _idle(workspace, jobs.newest(workspace))
    st.session_state.pop(_STOPPING, None)
    last = jobs.list_jobs(workspace, limit=1)
    if last and last[0]["id"] not in st.session_state.get(_DISMISSED, set()) and worth_showing(last[0]):
        _draw_job(workspace, last[0])


@st.fragment(run_every=POLL)
def _polling(workspace: Workspace, stages: dict[str, Any], every_stage: bool) -> None:
    records = [record for job_id in stages if (record := jobs.read_job(workspace, job_id))]
    for record in records:
        _draw_job(workspace, record)
    ended = len(records) < len(stages) or any(record["state"] in jobs.FINAL_STATES for record in records)
    went_on = every_stage and any(record.get("stage") != stages[record["id"]] for record in records)
    if ended or went_on:
        st.rerun()


@st.fragment(run_every=IDLE_POLL)
def _idle(workspace: Workspace, newest: str) -> None:
    """Notices a job that another tab, or a terminal, has begun."""
    if jobs.newest(workspace) != newest:
        st.rerun()


def _draw_job(workspace: Workspace, record: dict[str, Any]) -> None:
    line = job_line(record)
    with st.container(border=True, key=f"job.{record['id']}", gap="small"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"{line.icon} **{line.title}** · {line.state}", width="content")
            with st.container(horizontal=True, width="content", gap="small"):
                _details(workspace, record)
                _button(workspace, record, line)
        if line.share is not None:
            st.progress(line.share)
        if line.progress:
            st.caption(line.progress)
        if line.message:
            st.text(line.message)
        if line.hint:
            st.caption(line.hint)


def _button(workspace: Workspace, record: dict[str, Any], line: JobLine) -> None:
    job_id = record["id"]
    if line.is_final:
        st.button(
            "",
            icon=":material/close:",
            help="Hide",
            key=f"hide.{job_id}",
            type="tertiary",
            on_click=_hide,
            args=(job_id,),
        )
        return
    stopping = job_id in st.session_state.get(_STOPPING, set())
    st.button(
        "",
        icon=":material/hourglass_top:" if stopping else ":material/stop_circle:",
        help="Stopping after the piece under way" if stopping else "Cancel; finished work is kept",
        disabled=stopping,
        key=f"cancel.{job_id}",
        type="tertiary",
        on_click=_cancel,
        args=(workspace, job_id),
    )


def _details(workspace: Workspace, record: dict[str, Any]) -> None:
    key = f"details.{record['id']}"
    details = st.popover(
        "", icon=":material/terminal:", help="Command and log", type="tertiary", key=key, on_change="rerun"
    )
    if details.open:
        with details:
            st.caption("The same on the command line")
            st.code(record.get("command", ""), language="bash", wrap_lines=True)
            st.caption("Log")
            st.code(jobs.read_log(workspace, record["id"])[-LOG_SHOWN:] or "Empty so far.", language=None, height=240)


def _hide(job_id: str) -> None:
    st.session_state.setdefault(_DISMISSED, set()).add(job_id)


def _cancel(workspace: Workspace, job_id: str) -> None:
    jobs.cancel(workspace, job_id)
    st.session_state.setdefault(_STOPPING, set()).add(job_id)
