"""LangChain's ChatOpenAI, unmodified: answers, streams, tools, structured outputs, many at once."""

import asyncio

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


@tool
def lookup(id: str) -> str:
    """Find a card."""
    return f"card {id} is blocked"


class Place(BaseModel):
    """A place."""
    city: str
    people: int


@pytest.fixture
def model(uncached):
    return ChatOpenAI(model="support", base_url=uncached.base_url, api_key="sk-anything", max_retries=0, timeout=30)


def test_invoke_tells_what_it_cost(model, student, teacher, message):
    student.on(message, p=0.3)
    teacher.on(message, text="On Monday.")
    answer = model.invoke(message)
    assert answer.content == "On Monday." and answer.response_metadata["model_name"] == "support"
    assert answer.usage_metadata["output_tokens"] == 2
    assert [a["stage"] for a in answer.response_metadata["token_usage"]["understudy"]] == ["student", "teacher"]


def test_a_stream_adds_up_to_the_plain_answer(model, student, teacher, message):
    student.on(message, text="secretdraft", p=0.3)
    teacher.on(message, text="a b c d e f")
    chunks = list(model.stream(message, stream_usage=True))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert whole.content == model.invoke(message).content == "a b c d e f"
    assert len([c for c in chunks if c.content]) == 6 and "secretdraft" not in repr(chunks)
    assert whole.usage_metadata["output_tokens"] == 6 and whole.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("sure", [True, False])
@pytest.mark.parametrize("streamed", [False, True])
def test_tools_go_round(model, student, teacher, message, sure, streamed):
    student.on(message, tool_calls=[("call_1", "lookup", '{"id": "7"}')], p=0.99 if sure else 0.3)
    teacher.on(message, tool_calls=[("call_2", "lookup", '{"id": "8"}')])
    student.on(f"{message}, answered", text="It is blocked.")
    agent = model.bind_tools([lookup])
    messages = [HumanMessage(message)]
    if streamed:
        chunks = list(agent.stream(messages))
        asked = chunks[0]
        for chunk in chunks[1:]:
            asked = asked + chunk
    else:
        asked = agent.invoke(messages)
    assert [(c["name"], c["args"], c["id"]) for c in asked.tool_calls] == [("lookup", {"id": "7" if sure else "8"}, "call_1" if sure else "call_2")]
    messages += [asked] + [ToolMessage(lookup.invoke(c["args"]), tool_call_id=c["id"]) for c in asked.tool_calls]
    assert agent.invoke(messages).content == "It is blocked."


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_outputs(model, student, message, method):
    if method == "function_calling":
        student.on(message, tool_calls=[("call_1", "Place", '{"city": "Graz", "people": 300000}')])
    else:
        student.on(message, text='{"city": "Graz", "people": 300000}')
    assert model.with_structured_output(Place, method=method).invoke(message) == Place(city="Graz", people=300000)
    sent = student.calls(message)[-1]
    assert (sent.get("response_format") or {}).get("type") == {"json_schema": "json_schema", "function_calling": None, "json_mode": "json_object"}[method]


def test_parallel_streams_are_not_mixed_up(model, student, teacher):
    for i in range(40):
        student.on(f"langchain {i}", text=f"student's answer number {i}", p=0.3 if i % 2 else 0.99, chunk_delay_s=0.01)
        teacher.on(f"langchain {i}", text=f"teacher's answer number {i}", chunk_delay_s=0.01)

    async def one(i):
        return "".join([chunk.content async for chunk in model.astream(f"langchain {i}")])

    async def all_of_them():
        return await asyncio.gather(*(one(i) for i in range(40)))

    assert asyncio.run(all_of_them()) == [f"{'teacher' if i % 2 else 'student'}'s answer number {i}" for i in range(40)]
    batch = model.batch([f"langchain {i}" for i in range(40)], config={"max_concurrency": 20})
    assert [answer.content for answer in batch] == [f"{'teacher' if i % 2 else 'student'}'s answer number {i}" for i in range(40)]
