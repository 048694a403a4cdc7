"""Drawings: every state and arrow of any machine is there, and the documents are whole."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.flow import Machine, MachineError
from sequential_adaptor.flow.drawing import FORMATS, Marks, draw

ORDER: dict[str, Any] = {
    "id": "order",
    "initial": "work",
    "states": {
        "work": {
            "type": "parallel",
            "states": {
                "pay": {"initial": "wait", "states": {"wait": {"on": {"PAID": "paid"}}, "paid": {"type": "final"}}},
                "pack": {
                    "initial": "box",
                    "states": {
                        "box": {
                            "on": {"TO_PAY": "#order.work.pay", "AGAIN": "#order.work"},
                            "after": {2592000000: "#late"},
                        }
                    },
                },
            },
            "on": {"RESET": ".pay.wait", "NOTE": {"actions": "note"}},
            "onDone": "end",
        },
        "late": {"id": "late", "description": 'a; b: "c" #1 <d> & --'},
        "end": {"type": "final"},
    },
}


def test_mermaid_declares_states_in_their_boxes_and_arrows_outside_of_all() -> None:
    """Mermaid moves a state into the box in which an arrow mentions it, and fails at boxes that are moved so."""
    assert draw(ORDER) == (
        "stateDiagram-v2\n"
        '  state "work<br/>NOTE / note" as s1 {\n'
        '    state "pay" as s2 {\n'
        '      state "wait" as s3\n'
        '      state "paid" as s4\n'
        "      state s2_any <<choice>>\n"
        "      [*] --> s3\n"
        "      s4 --> [*]\n"
        "    }\n"
        "    --\n"
        '    state "pack" as s5 {\n'
        '      state "box" as s6\n'
        "      [*] --> s6\n"
        "    }\n"
        "  }\n"
        '  state "late<br/>a#59; b#58; #34;c#34; #35;1 #60;d#62; #38; #45;#45;" as s7\n'
        '  state "end" as s8\n'
        "  [*] --> s1\n"
        "  s8 --> [*]\n"
        "  s2_any --> s3 : RESET\n"
        "  s1 --> s8 : done\n"
        "  s3 --> s4 : PAID\n"
        "  s6 --> s2 : TO_PAY\n"
        "  s6 --> s6 : AGAIN (to work)\n"
        "  s6 --> s7 : after 30 d\n"
    )


def test_marks_show_what_a_run_visited_where_it_is_and_where_it_failed() -> None:
    marks = Marks(visited={"late"}, current={"work", "work.pay.wait"}, failed={"end"}, notes={"late": "12:00"})
    text = draw(ORDER, "mermaid", marks)
    assert "class s7 visited" in text
    assert "class s3 current" in text
    assert "class s8 failed" in text
    assert "▶ work" in text
    assert "12#58;00" in text
    assert "#fff3c4" in draw(ORDER, "svg", marks)
    assert "#fff3c4" in draw(ORDER, "dot", marks)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_state_and_arrow_is_drawn_in_every_format(
    data: st.DataObject, random_cases: st.SearchStrategy[dict[str, Any]], steps: ModuleType
) -> None:
    machine: Machine = steps.load_case(data.draw(random_cases))
    count = len(machine.chart.states) - 1
    mermaid, dot, svg = (draw(machine, format) for format in ("mermaid", "dot", "svg"))
    assert {f"s{index}" for index in range(1, count + 1)} <= set(re.findall(r" as (s\d+)", mermaid))
    assert all(re.search(rf"\bs{index} \[|cluster_s{index} ", dot) for index in range(1, count + 1))
    picture = ElementTree.fromstring(svg)
    titles = [text for text in picture.iter("{http://www.w3.org/2000/svg}text") if text.get("font-weight")]
    assert len(titles) == count + 1
    arrows = sum(
        len(transition.targets or ())
        for state in machine.chart.states
        for transition in state.transitions
        if transition.reenter or transition.targets != (state,)
    )
    assert mermaid.count(" --> ") >= arrows


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_arrow_of_a_drawing_joins_a_box_and_one_inside_it(
    data: st.DataObject, random_cases: st.SearchStrategy[dict[str, Any]], steps: ModuleType
) -> None:
    from sequential_adaptor.flow.drawing.sketch import sketch

    machine: Machine = steps.load_case(data.draw(random_cases))
    for arrow in sketch(machine.chart, Marks()).arrows:
        if not arrow.from_anchor:
            assert arrow.source not in arrow.target.around()
            assert arrow.target not in arrow.source.around()


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_takes_what_is_written_for_it() -> None:
    done = subprocess.run(
        ["dot", "-Tsvg"], input=draw(ORDER, "dot"), capture_output=True, text=True, check=True, timeout=60
    )
    assert "<svg" in done.stdout
    assert done.stderr == ""


def test_a_machine_that_is_not_whole_and_a_format_that_there_is_not_are_refused() -> None:
    with pytest.raises(MachineError):
        draw({"initial": "x", "states": {"a": {}}})
    with pytest.raises(ConfigurationError, match="mermaid, dot, svg"):
        draw(ORDER, "png")
    assert {*FORMATS} == {"mermaid", "dot", "svg"}
