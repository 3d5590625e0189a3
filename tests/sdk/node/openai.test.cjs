// The official OpenAI SDK for Node, unmodified, against a gateway. Started by tests/sdk/test_node.py, which has told the imposters what to say.
'use strict';
const assert = require('node:assert/strict');
const test = require('node:test');
const OpenAI = require('openai');

const client = new OpenAI({ baseURL: process.env.UNDERSTUDY_BASE_URL, apiKey: 'sk-anything', maxRetries: 0, timeout: 30_000 });
const TOOL = {
  name: 'lookup',
  description: 'Find a card',
  parameters: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
};
const TOOLS = [{ type: 'function', function: TOOL }];
const asking = (content, more = {}) => ({ model: 'support', messages: [{ role: 'user', content }], ...more });

async function headersAndAnswer(params) {
  const { data, response } = await client.chat.completions.create(params).withResponse();
  return { data, headers: response.headers };
}

test('a sure student serves', async () => {
  const { data, headers } = await headersAndAnswer(asking('node sure'));
  assert.equal(data.choices[0].message.content, 'Your card is on its way.');
  assert.equal(data.model, 'support');
  assert.equal(headers.get('x-understudy-served-by'), 'student');
  assert.equal(data._request_id, headers.get('x-request-id'));
  assert.deepEqual(data.usage.understudy.map((attempt) => attempt.stage), ['student']);
});

test('an unsure student is replaced by the teacher', async () => {
  const { data, headers } = await headersAndAnswer(asking('node unsure'));
  assert.equal(data.choices[0].message.content, 'On Monday.');
  assert.equal(headers.get('x-understudy-served-by'), 'teacher');
});

test('streams: the text in order, usage at the end, nothing of the draft', async () => {
  const stream = await client.chat.completions.create(asking('node unsure', { stream: true, stream_options: { include_usage: true } }));
  let text = '';
  const reasons = [];
  let usage = null;
  for await (const chunk of stream) {
    assert.doesNotMatch(JSON.stringify(chunk), /Perhaps/);
    text += chunk.choices[0]?.delta?.content ?? '';
    if (chunk.choices[0]?.finish_reason) reasons.push(chunk.choices[0].finish_reason);
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, 'On Monday.');
  assert.deepEqual(reasons, ['stop']);
  assert.equal(usage.completion_tokens, 2);
  assert.deepEqual(usage.understudy.map((attempt) => attempt.stage), ['student', 'teacher']);
});

test("the SDK's stream helper assembles what a plain call returns", async () => {
  for (const question of ['node sure', 'node unsure', 'node tools']) {
    const plain = await client.chat.completions.create(asking(question, { tools: TOOLS }));
    const streamed = await client.chat.completions.stream(asking(question, { tools: TOOLS })).finalChatCompletion();
    const { content, tool_calls: calls } = streamed.choices[0].message;
    const strip = (list) => (list ?? []).map((call) => ({ id: call.id, name: call.function.name, arguments: call.function.arguments }));
    assert.equal(content, plain.choices[0].message.content);
    assert.deepEqual(strip(calls), strip(plain.choices[0].message.tool_calls));
    assert.equal(streamed.choices[0].finish_reason, plain.choices[0].finish_reason);
  }
});

test('runTools goes round with a tool, plain and streamed', async () => {
  for (const stream of [false, true]) {
    const seen = [];
    const runner = client.chat.completions.runTools(
      asking('node tools', {
        stream,
        tools: [{ type: 'function', function: { ...TOOL, parse: JSON.parse, function: async (args) => (seen.push(args), 'blocked') } }],
      }));
    assert.equal(await runner.finalContent(), 'Card 7 is blocked.');
    assert.deepEqual(seen, [{ id: '7' }]);
  }
});

test('an answer by a JSON schema is parsed', async () => {
  const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
  const params = asking('node schema', { response_format: { type: 'json_schema', json_schema: { name: 'place', strict: true, schema } } });
  assert.deepEqual((await client.chat.completions.parse(params)).choices[0].message.parsed, { city: 'Graz' });
  const streamed = await client.chat.completions.stream(params).finalChatCompletion();
  assert.deepEqual(JSON.parse(streamed.choices[0].message.content), { city: 'Graz' });
});

test('fifty streams beside each other are not mixed up', async () => {
  await Promise.all(Array.from({ length: 50 }, async (_, i) => {
    const stream = await client.chat.completions.create(asking(`node parallel ${i}`, { stream: true }));
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? '';
    assert.equal(text, i % 2 ? `teacher's answer number ${i}` : `student's answer number ${i}`);
  }));
});

test("errors are the SDK's own", async () => {
  await assert.rejects(client.chat.completions.create({ model: 'support', messages: 7 }), OpenAI.BadRequestError);
  await assert.rejects(client.models.retrieve('no-such-model'), OpenAI.NotFoundError);
  await assert.rejects(client.chat.completions.create(asking('node throttled')), (error) =>
    error instanceof OpenAI.RateLimitError && error.headers.get('retry-after-ms') === '1500');
  await assert.rejects(async () => {
    const stream = await client.chat.completions.create(asking('node cut', { stream: true }));
    for await (const chunk of stream) assert.ok(chunk);
  }, OpenAI.APIError);
});

test('an aborted stream is cancelled upstream', async () => {
  const stream = await client.chat.completions.create(asking('node endless', { stream: true }));
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta?.content) break;   // leaving the loop aborts
  }
  const controller = new AbortController();
  const waiting = client.chat.completions.create(asking('node slow'), { signal: controller.signal });
  setTimeout(() => controller.abort(), 200);
  await assert.rejects(waiting, OpenAI.APIUserAbortError);
});

test('models are listed', async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes('default') && names.includes('understudy/auto'), names.join());
});
