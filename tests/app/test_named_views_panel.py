"""Named views in the sidebar: kept with the whole address, opened in another session, renamed, deleted."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from curation import named_views
from tests.app.conftest import MakeWorkspace, OpenPage, check_page, texts


def links(app: AppTest) -> dict[str, str]:
    return {link.proto.label: link.proto.query_string for link in app.sidebar.get("page_link")}


def test_the_view_is_kept_with_its_address(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("select")
    app = open_page("export", workspace, format="jsonl", what="all")
    app.text_input(key="views.new").set_value("all of it <b>").run()
    app.button(key="views.keep").click().run()
    check_page(app)
    (view,) = named_views.views(workspace)
    assert (view.name, view.page) == ("all of it <b>", "export")
    assert view.params == {"format": "jsonl", "what": "all", "run": "main"}
    other = links(open_page("home", workspace))  # another session, another page
    (query,) = [query for label, query in other.items() if label.startswith("all of it")]
    assert "format=jsonl" in query and "what=all" in query and "ws=" in query
    assert not any("<b>" in label for label in other)
    app = open_page("export", workspace, **view.params)
    assert app.selectbox(key="choose.format").value == "jsonl" and app.main.selectbox[0].value == "all"


def test_views_are_renamed_and_deleted(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("select")
    for name in ("one", "two"):
        named_views.keep(workspace, name, "clips", {"text": name})
    app = open_page("home", workspace)
    app.selectbox(key="views.chosen").set_value("one").run()
    app.text_input(key="views.name.one").set_value("two").run()
    app.button(key="views.rename").click().run()
    check_page(app)
    assert "called 'two' already" in texts(app).replace("\\", "")
    app.text_input(key="views.name.one").set_value("three").run()
    app.button(key="views.rename").click().run()
    check_page(app)
    assert {view.name for view in named_views.views(workspace)} == {"two", "three"}
    app.selectbox(key="views.chosen").set_value("two").run()
    app.button(key="views.delete").click().run()
    check_page(app)
    assert [view.name for view in named_views.views(workspace)] == ["three"]


def test_a_wrong_name_is_explained(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("select")
    app = open_page("home", workspace)
    app.button(key="views.keep").click().run()
    check_page(app)
    assert "1 to 60 characters" in texts(app) and not named_views.views(workspace)


def test_many_views_stay_few_links(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("select")
    for k in range(12):
        named_views.keep(workspace, f"view {k}", "map" if k else "a page that is gone", {})
    app = open_page("home", workspace)
    kept = [label for label in links(app) if label.startswith("view ")]
    assert kept == [f"view {k}" for k in range(11, 3, -1)] and "3 more are listed" in texts(app)
