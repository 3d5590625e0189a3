"""Plain and streamed answers through the official SDK: contents, headers, usage, and what the upstreams were asked."""

import asyncio
import json

import openai

from conftest import ask, ask_stream, assemble, client_of

TOOLS = [{"type": "function", "function": {"name": "lookup", "description": "Find a card",
                                           "parameters": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}}}]


def test_a_sure_student_serves(client, student, teacher, message):
    student.on(message, text="Your card is on its way.", p=0.97)
    headers, answer = ask(client, message)
    assert answer.object == "chat.completion"
    assert answer.model == "support"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content == "Your card is on its way."
    assert answer.choices[0].finish_reason == "stop"
    assert headers["x-understudy-served-by"] == "student"
    assert headers["x-understudy-model"] == "student"
    assert headers["x-understudy-escalated"] == "0"
    assert headers["x-understudy-reason"] == "confident"
    confidence = headers["x-understudy-confidence"]
    assert 0.8 <= float(confidence) <= 1 and len(confidence.split(".")[1]) == 4
    assert float(headers["x-understudy-threshold"]) == 0.8
    assert int(headers["x-understudy-overhead-us"]) >= 0
    assert headers["x-request-id"]
    assert teacher.calls(message) == []
    assert [body["model"] for body in student.calls(message)] == ["student-v1"]


def test_usage_and_costs_are_exact(client, student, message):
    student.on(message, text="one two three")
    headers, answer = ask(client, message)
    prompt, completion = answer.usage.prompt_tokens, answer.usage.completion_tokens
    assert (prompt, completion, answer.usage.total_tokens) == (3, 3, 6)
    cost = (prompt * 0.10 + completion * 0.40) / 1e6
    teacher_cost = (prompt * 2.50 + completion * 10.00) / 1e6
    assert abs(float(headers["x-understudy-cost-usd"]) - cost) < 1e-12
    assert float(headers["x-litellm-response-cost"]) == float(headers["x-understudy-cost-usd"])
    saved = headers["x-understudy-saved-usd"]
    assert saved.startswith("~"), "the teacher was not asked: its cost is an estimate"
    assert abs(float(saved[1:]) - (teacher_cost - cost)) < 1e-12
    attempts = answer.usage.model_extra["understudy"]
    assert [(a["stage"], a["model"], a["prompt_tokens"], a["completion_tokens"]) for a in attempts] == [("student", "student", prompt, completion)]
    assert abs(attempts[0]["cost_usd"] - cost) < 1e-12


def test_an_unsure_student_is_replaced_by_the_teacher(client, student, teacher, message):
    student.on(message, text="Perhaps tomorrow.", p=0.35)
    teacher.on(message, text="On Monday.")
    headers, answer = ask(client, message)
    assert answer.choices[0].message.content == "On Monday."
    assert headers["x-understudy-served-by"] == "teacher"
    assert headers["x-understudy-model"] == "teacher"
    assert headers["x-understudy-escalated"] == "1"
    assert headers["x-understudy-reason"] == "below_threshold"
    assert float(headers["x-understudy-confidence"]) < 0.8
    attempts = answer.usage.model_extra["understudy"]
    assert [a["stage"] for a in attempts] == ["student", "teacher"]
    assert answer.usage.completion_tokens == 2, "usage is the serving model's"
    assert abs(float(headers["x-understudy-cost-usd"]) - sum(a["cost_usd"] for a in attempts)) < 1e-12
    assert "~" not in headers["x-understudy-saved-usd"] and float(headers["x-understudy-saved-usd"]) < 0


def test_a_student_without_logprobs_is_not_trusted(client, student, teacher, message):
    student.on(message, text="No idea how sure I am.", logprobs=False)
    teacher.on(message, text="Known.")
    headers, answer = ask(client, message)
    assert answer.choices[0].message.content == "Known."
    assert headers["x-understudy-confidence"] == "none"
    assert headers["x-understudy-reason"] == "no_signal"


def test_logprobs_not_asked_for_do_not_leak(gateway, student, message):
    student.on(message, text="quiet answer")
    status, _, body = gateway.post({"model": "support", "messages": [{"role": "user", "content": message}]})
    assert status == 200
    answer = json.loads(body)
    assert answer["choices"][0]["message"]["content"] == "quiet answer"
    assert answer["choices"][0].get("logprobs") is None
    assert b"top_logprobs" not in body and b"bytes" not in body
    assert student.calls(message)[0]["logprobs"] is True, "the student was asked for them all the same"
    status, _, body = gateway.post({"model": "support", "messages": [{"role": "user", "content": message + " streamed"}], "stream": True})
    assert status == 200 and b"[DONE]" in body
    assert b"top_logprobs" not in body and b'"bytes"' not in body


def test_logprobs_asked_for_are_the_upstreams(client, student, message):
    student.on(message, text="loud answer here", p=0.9)
    _, answer = ask(client, message, logprobs=True, top_logprobs=2)
    content = answer.choices[0].logprobs.content
    assert [t.token for t in content] == ["loud", " answer", " here"]
    assert abs(content[1].logprob - -0.10536051565782628) < 1e-12
    assert [t.token for t in content[1].top_logprobs] == [" answer", " answer?"], "as many alternatives as asked for"
    chunks = ask_stream(client, message + " again", logprobs=True, top_logprobs=2)
    student_tokens = [t.token for c in chunks for choice in c.choices if choice.logprobs for t in choice.logprobs.content]
    assert "".join(student_tokens) == student.default.text


def test_streamed_answer_has_the_shape_that_clients_expect(gateway, client, student, message):
    student.on(message, text="Cards take five days to arrive.")
    chunks = ask_stream(client, message, stream_options={"include_usage": True})
    assert {c.object for c in chunks} == {"chat.completion.chunk"}
    assert len({(c.id, c.created, c.model) for c in chunks}) == 1 and chunks[0].model == "support"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 6
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert reasons[-1] == "stop" and set(reasons[:-1]) <= {None}
    assert assemble(chunks)["text"] == "Cards take five days to arrive."
    assert all(c.usage is None for c in chunks[:-1])
    status, headers, body = gateway.post({"model": "support", "messages": [{"role": "user", "content": message}], "stream": True})
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert body.endswith(b"data: [DONE]\n\n") and body.count(b"[DONE]") == 1
    assert b'"usage":{' not in body, "usage only where it was asked for"


def test_tools_pass_through_plain_and_streamed(uncached, student, message):
    client = client_of(uncached)
    student.on(message, tool_calls=[("call_1", "lookup", '{"id": "42", "why": "caf\u00e9 \\"x\\""}'), ("call_2", "lookup", '{"id": "43"}')])
    _, answer = ask(client, message, tools=TOOLS, tool_choice="auto", parallel_tool_calls=True)
    calls = answer.choices[0].message.tool_calls
    assert [(c.id, c.function.name) for c in calls] == [("call_1", "lookup"), ("call_2", "lookup")]
    assert json.loads(calls[0].function.arguments) == {"id": "42", "why": 'caf\u00e9 "x"'}
    assert answer.choices[0].message.content is None and answer.choices[0].finish_reason == "tool_calls"
    sent = student.calls(message)[0]
    assert sent["tools"] == TOOLS and sent["tool_choice"] == "auto" and sent["parallel_tool_calls"] is True
    chunks = ask_stream(client, message, tools=TOOLS)
    assert assemble(chunks)["calls"] == [{"id": c.id, "name": c.function.name, "arguments": c.function.arguments} for c in calls]
    assert assemble(chunks)["reason"] == "tool_calls"


def test_tool_results_in_the_conversation_reach_the_upstream(client, student):
    messages = [{"role": "user", "content": "tool result please"},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "found"}]
    client.chat.completions.create(model="support", messages=messages, tools=TOOLS)
    assert student.calls("tool result please")[0]["messages"] == messages


def test_response_format_and_unknown_fields_pass_through(client, student, message):
    schema = {"type": "json_schema", "json_schema": {"name": "intent", "strict": True,
                                                     "schema": {"type": "object", "properties": {"intent": {"type": "string"}}}}}
    student.on(message, text='{"intent": "card_arrival"}')
    _, answer = ask(client, message, response_format=schema, temperature=0.25, seed=7, max_tokens=99, user="u-1", stop=["\n\n"],
                    extra_body={"min_p": 0.1, "guided": {"a": [1, None, "\u2603"]}})
    assert json.loads(answer.choices[0].message.content) == {"intent": "card_arrival"}
    sent = student.calls(message)[0]
    assert sent["response_format"] == schema
    assert (sent["temperature"], sent["seed"], sent["max_tokens"], sent["user"], sent["stop"]) == (0.25, 7, 99, "u-1", ["\n\n"])
    assert sent["min_p"] == 0.1 and sent["guided"] == {"a": [1, None, "\u2603"]}


def test_several_choices_go_to_the_teacher(client, student, teacher, message):
    teacher.on(message, text="option")
    headers, answer = ask(client, message, n=2)
    assert [c.message.content for c in answer.choices] == ["option #0", "option #1"]
    assert headers["x-understudy-served-by"] == "teacher" and student.calls(message) == []
    assert headers["x-understudy-reason"] not in ("", "confident", "below_threshold")


def test_images_go_to_the_teacher(client, student, teacher):
    content = [{"type": "text", "text": "what is this picture"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    teacher.on("what is this picture", text="a cat")
    raw = client.chat.completions.with_raw_response.create(model="support", messages=[{"role": "user", "content": content}])
    assert raw.parse().choices[0].message.content == "a cat"
    assert raw.headers["x-understudy-served-by"] == "teacher" and student.calls("what is this picture") == []
    assert teacher.calls("what is this picture")[0]["messages"][0]["content"] == content


def test_the_second_identical_call_comes_from_the_cache(client, student, message):
    student.on(message, text="cached text")
    first_headers, first = ask(client, message)
    headers, second = ask(client, message)
    assert first_headers["x-understudy-served-by"] == "student" and headers["x-understudy-served-by"] == "cache"
    assert second.choices[0].message.content == "cached text"
    assert float(headers["x-understudy-cost-usd"]) == 0
    assert headers["x-request-id"] != first_headers["x-request-id"]
    assert len(student.calls(message)) == 1
    assert assemble(ask_stream(client, message))["text"] == "cached text", "also when the second call streams"
    assert len(student.calls(message)) == 1
    _, warmer = ask(client, message, temperature=1.5)
    assert warmer.choices[0].message.content == "cached text" and len(student.calls(message)) == 2, "other parameters are another request"


def test_an_escalated_answer_is_cached_as_the_teachers(client, student, teacher, message):
    student.on(message, text="wrong", p=0.2)
    teacher.on(message, text="right")
    ask(client, message)
    headers, answer = ask(client, message)
    assert answer.choices[0].message.content == "right" and headers["x-understudy-served-by"] == "cache"
    assert len(teacher.calls(message)) == 1


def test_logprobs_do_not_leak_out_of_the_cache(client, student, message):
    student.on(message, text="both ways")
    _, with_logprobs = ask(client, message, logprobs=True, top_logprobs=1)
    _, without = ask(client, message)
    _, again = ask(client, message, logprobs=True, top_logprobs=1)
    assert with_logprobs.choices[0].logprobs.content and again.choices[0].logprobs.content
    assert without.choices[0].logprobs is None


def test_models_are_listed(client):
    names = {m.id for m in client.models.list()}
    assert {"understudy/auto", "understudy/student", "understudy/teacher"} <= names
    assert client.models.retrieve("understudy/auto").id == "understudy/auto"
    try:
        client.models.retrieve("no-such-model")
        raise AssertionError("an unknown model was found")
    except openai.NotFoundError as error:
        assert "no-such-model" in str(error)


def test_model_names_and_headers_choose_who_answers(client, student, teacher, message):
    student.on(message, text="from the student", p=0.2)
    teacher.on(message, text="from the teacher")
    assert ask(client, message, model="understudy/student")[1].choices[0].message.content == "from the student"
    headers, answer = ask(client, message, model="understudy/teacher")
    assert answer.choices[0].message.content == "from the teacher" and answer.model == "understudy/teacher"
    assert headers["x-understudy-reason"] == "mode"
    assert ask(client, message, extra_headers={"x-understudy-mode": "student"})[1].choices[0].message.content == "from the student"
    assert ask(client, message, extra_headers={"x-understudy-mode": "teacher"})[1].choices[0].message.content == "from the teacher"


def test_request_ids_and_tasks_are_kept(client, message):
    headers, _ = ask(client, message, extra_headers={"x-request-id": "my-own-id-1", "x-understudy-task": "ticket_intent"})
    assert headers["x-request-id"] == "my-own-id-1" and headers["x-understudy-task"] == "ticket_intent"
    headers, _ = ask(client, message + " 2", metadata={"task": "rerank"})
    assert headers["x-understudy-task"] == "rerank"


def test_debug_shows_every_attempt(client, student, teacher, message):
    student.on(message, text="hm", p=0.3)
    raw = client.chat.completions.with_raw_response.create(model="support", messages=[{"role": "user", "content": message}],
                                                           extra_headers={"x-understudy-debug": "1"})
    text = raw.text if isinstance(raw.text, str) else raw.text()
    assert "features" in text or "features" in str(dict(raw.headers))


def test_neither_keys_nor_sdk_headers_reach_the_upstream(client, student, message):
    ask(client, message, extra_headers={"x-understudy-task": "t", "Connection": "keep-alive"})
    sent = {k.lower(): v for k, v in student.headers_of(message)[0].items()}
    assert "sk-anything" not in str(sent)
    assert not [k for k in sent if k.startswith(("x-stainless", "x-understudy"))]


def test_shadow_mode_serves_the_teacher_and_runs_the_student_beside(make_gateway, student, teacher, message):
    client = client_of(make_gateway(mode="shadow"))
    student.on(message, text="student's view", p=0.99)
    teacher.on(message, text="teacher's view")
    headers, answer = ask(client, message)
    assert answer.choices[0].message.content == "teacher's view" and headers["x-understudy-served-by"] == "teacher"
    for _ in range(200):
        if student.calls(message):
            break
        asyncio.run(asyncio.sleep(0.02))
    assert len(student.calls(message)) == 1


def test_fifty_at_once_are_not_mixed_up(uncached, student, teacher):
    async def run():
        async with openai.AsyncOpenAI(base_url=uncached.base_url, api_key="k", max_retries=0, timeout=60) as client:
            async def one(i):
                message = f"parallel {i}"
                student.on(message, text=f"student text {i}", p=0.3 if i % 3 == 0 else 0.99)
                teacher.on(message, text=f"teacher text {i}")
                if i % 2 == 0:
                    answer = await client.chat.completions.create(model="support", messages=[{"role": "user", "content": message}])
                    return answer.choices[0].message.content
                text = ""
                async for chunk in await client.chat.completions.create(model="support", messages=[{"role": "user", "content": message}], stream=True):
                    text += chunk.choices[0].delta.content or "" if chunk.choices else ""
                return text
            return await asyncio.gather(*(one(i) for i in range(50)))
    for i, text in enumerate(asyncio.run(run())):
        assert text == (f"teacher text {i}" if i % 3 == 0 else f"student text {i}")
