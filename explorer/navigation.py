"""The pages in their order, and the links between them that keep workspace and run in the address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

from explorer.state import PAGES, link_params


@dataclass(frozen=True)
class PageInfo:
    """A page file's name (also its address), its title and its Material symbol."""

    name: str
    title: str
    icon: str

    @property
    def file(self) -> Path:
        return PAGES / f"{self.name}.py"


PAGE_LIST = (
    PageInfo("home", "Home", ":material/home:"),
    PageInfo("ingest", "Ingest", ":material/video_library:"),
    PageInfo("cluster", "Cluster", ":material/bubble_chart:"),
    PageInfo("selection", "Selection", ":material/checklist:"),
    PageInfo("contingency", "Contingency", ":material/grid_on:"),
    PageInfo("map", "Map", ":material/scatter_plot:"),
    PageInfo("clips", "Clips", ":material/movie:"),
    PageInfo("evaluate", "Evaluate", ":material/fact_check:"),
    PageInfo("export", "Export", ":material/ios_share:"),
)


def available_pages() -> list[tuple[PageInfo, Page]]:
    """The pages whose files are there, Home first and default."""
    return [
        (info, st.Page(info.file, title=info.title, icon=info.icon, url_path=info.name, default=info.name == "home"))
        for info in PAGE_LIST
        if info.file.is_file()
    ]


def draw_links(pages: list[tuple[PageInfo, Page]]) -> None:
    """One link a page; each carries the open workspace and run, so that it can be copied."""
    for info, page in pages:
        st.page_link(page, label=info.title, icon=info.icon, query_params=link_params(), width="stretch")
