// clients.mjs - the clients of npm against `rwkv7 serve` at the address in the first argument. The
// second chooses the client. Every answer is compared with that of a plain request.
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOllama } from '@langchain/ollama';
import { ChatOpenAI, OpenAI as CompletionOpenAI } from '@langchain/openai';
import { HumanMessage } from '@langchain/core/messages';
import { tool as langchainTool } from '@langchain/core/tools';
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const url = process.argv[2];
const SYSTEM = 'Be brief.';
const USER = 'Where is the key?';
const MESSAGES = [{ role: 'system', content: SYSTEM }, { role: 'user', content: USER }];
const SEEN = z.object({ colour: z.enum(['red', 'green']), count: z.number().int().min(0).max(9) });
const ZONE = {
  type: 'object',
  properties: { zone: { enum: ['utc', 'local'] } },
  required: ['zone'],
  additionalProperties: false,
};
const TEXT = await plain({ messages: MESSAGES, temperature: 0, max_tokens: 24 });

/** The text of a plain request to /v1/chat/completions. */
async function plain(body) {
  const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
  return (await answer.json()).choices[0].message.content;
}

function checkSeen(value) {
  assert.deepEqual(SEEN.parse(value), value);
}

function checkZone(value) {
  assert.ok(['utc', 'local'].includes(value.zone), JSON.stringify(value));
}

async function rejects(promise, kind, text) {
  await assert.rejects(promise, (error) => {
    assert.ok(!kind || error instanceof kind, `${error?.constructor?.name}: ${error}`);
    assert.match(String(error.message ?? error), text);
    return true;
  });
}

async function collect(stream, text) {
  let all = '';
  for await (const piece of stream) all += text(piece) ?? '';
  return all;
}

const clients = {
  async openai() {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 0 });
    assert.deepEqual((await client.models.list()).data.map((m) => m.id), ['rwkv7-demo']);
    const chat = { model: 'any', messages: MESSAGES, temperature: 0, max_completion_tokens: 24 };
    assert.equal((await client.chat.completions.create(chat)).choices[0].message.content, TEXT);
    assert.equal(await collect(await client.chat.completions.create({ ...chat, stream: true }), (p) => p.choices[0]?.delta.content), TEXT);
    const parsed = await client.chat.completions.parse({ ...chat, max_completion_tokens: 400, response_format: zodResponseFormat(SEEN, 'seen') });
    checkSeen(parsed.choices[0].message.parsed);
    // Responses
    const request = { model: 'any', instructions: SYSTEM, input: USER, temperature: 0, max_output_tokens: 24 };
    const whole = await client.responses.create(request);
    assert.equal(whole.output_text, TEXT);
    assert.equal(whole.usage.total_tokens, whole.usage.input_tokens + whole.usage.output_tokens);
    const kinds = [];
    const stream = client.responses.stream(request);
    for await (const event of stream) kinds.push(event.type);
    assert.equal((await stream.finalResponse()).output_text, TEXT);
    assert.equal(kinds[0], 'response.created');
    assert.ok(['response.completed', 'response.incomplete'].includes(kinds.at(-1)), kinds.at(-1));
    const structured = await client.responses.parse({ ...request, max_output_tokens: 400, text: { format: zodTextFormat(SEEN, 'seen') } });
    checkSeen(structured.output_parsed);
    const tools = [{ type: 'function', name: 'zone', parameters: ZONE, strict: true }];
    const calls = await client.responses.create({ ...request, tools, tool_choice: 'required', max_output_tokens: 100, parallel_tool_calls: false });
    const call = calls.output.find((item) => item.type === 'function_call');
    checkZone(JSON.parse(call.arguments));
    const input = [{ role: 'user', content: USER }, ...calls.output, { type: 'function_call_output', call_id: call.call_id, output: 'done' }];
    assert.equal((await client.responses.create({ ...request, input, tools })).object, 'response');
    // a second turn, twice from one stored answer, is that of the whole conversation
    const second = [{ role: 'user', content: 'Why?' }];
    const full = { ...request, input: [{ role: 'user', content: USER }, ...whole.output, ...second] };
    const longer = await client.responses.create({ ...full, max_output_tokens: 40, store: false });
    for (let i = 0; i < 2; i++)
      assert.equal((await client.responses.create({ ...request, input: second, max_output_tokens: 40, previous_response_id: whole.id })).output_text, longer.output_text);
    const result = [{ type: 'function_call_output', call_id: call.call_id, output: 'done' }];
    assert.equal((await client.responses.create({ ...request, input: result, tools, previous_response_id: calls.id })).previous_response_id, calls.id);
    await client.responses.delete(whole.id);
    for (const id of [whole.id, longer.id, 'resp_1'])
      await rejects(client.responses.create({ ...request, previous_response_id: id }), OpenAI.NotFoundError, /no stored answer/);
    await rejects(client.responses.create({ ...request, temperature: 5000 }), OpenAI.BadRequestError, /temperature/);
    const aborted = await client.responses.create({ ...request, max_output_tokens: 4000, stream: true });
    for await (const event of aborted) if (event.type === 'response.output_text.delta') break;
  },

  async anthropic() {
    const client = new Anthropic({ baseURL: url, apiKey: 'any', maxRetries: 0 });
    const request = { model: 'any', system: SYSTEM, messages: [{ role: 'user', content: USER }], temperature: 0, max_tokens: 24 };
    const whole = await client.messages.create(request);
    assert.equal(whole.content[0].text, TEXT);
    assert.ok(whole._request_id);
    const counted = await client.messages.countTokens({ model: 'any', system: SYSTEM, messages: request.messages });
    assert.equal(counted.input_tokens, whole.usage.input_tokens + whole.usage.cache_read_input_tokens);
    const stream = client.messages.stream(request);
    assert.equal(await collect(stream, (e) => (e.type === 'content_block_delta' ? e.delta.text : '')), TEXT);
    const final = await stream.finalMessage();
    assert.equal(final.content[0].text, TEXT);
    assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
    const tools = [{ name: 'zone', description: 'the zone', input_schema: ZONE }];
    const choice = { type: 'tool', name: 'zone' };
    const calls = client.messages.stream({ ...request, tools, tool_choice: choice, max_tokens: 100 });
    const message = await calls.finalMessage();
    assert.equal(message.stop_reason, 'tool_use');
    const use = message.content.find((block) => block.type === 'tool_use');
    checkZone(use.input);
    const messages = [...request.messages, { role: 'assistant', content: message.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'done' }] }];
    assert.equal((await client.messages.create({ ...request, messages, tools })).role, 'assistant');
    await rejects(client.messages.create({ ...request, temperature: 5000 }), Anthropic.BadRequestError, /temperature/);
    await rejects(client.messages.create({ ...request, messages: [{ role: 'x', content: '' }] }), Anthropic.BadRequestError, /messages\[0\]/);
  },

  async ai() {
    const settings = { system: SYSTEM, prompt: USER, temperature: 0, maxOutputTokens: 24, maxRetries: 0 };
    const zone = { zone: tool({ description: 'the zone', inputSchema: jsonSchema(ZONE), execute: async (input) => (checkZone(input), 'done') }) };
    const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: 'any' });
    const models = {
      responses: openai('any'),
      chat: openai.chat('any'),
      compatible: createOpenAICompatible({ name: 'rwkv7', baseURL: `${url}/v1`, supportsStructuredOutputs: true })('any'),
      anthropic: createAnthropic({ baseURL: `${url}/v1`, apiKey: 'any' })('any'),
    };
    for (const [name, model] of Object.entries(models)) {
      const whole = await generateText({ ...settings, model });
      assert.equal(whole.text, TEXT, name);
      assert.ok(whole.usage.inputTokens > 0 && whole.usage.outputTokens > 0, name);
      const stream = streamText({ ...settings, model });
      assert.equal(await collect(stream.textStream, (p) => p), TEXT, name);
      assert.ok(['length', 'stop'].includes(await stream.finishReason), name);
      const providerOptions = { openai: { store: false } };
      const calls = await generateText({ ...settings, model, tools: zone, toolChoice: 'required', maxOutputTokens: 100, stopWhen: stepCountIs(1), providerOptions });
      assert.ok(calls.toolCalls.length > 0 && calls.toolResults.length > 0, name);
      const next = [{ role: 'user', content: USER }, ...calls.response.messages];
      const { prompt, ...rest } = settings;
      assert.ok((await generateText({ ...rest, model, messages: next, tools: zone, toolChoice: 'none', providerOptions })).usage.outputTokens > 0, name);
      const streamed = streamText({ ...settings, model, tools: zone, toolChoice: 'required', maxOutputTokens: 100, stopWhen: stepCountIs(1), providerOptions });
      assert.ok((await streamed.toolCalls).length > 0, name);
      const seen = await generateText({ ...settings, model, maxOutputTokens: 400, output: Output.object({ schema: SEEN }) });
      checkSeen(seen.output);
      const picture = [{ role: 'user', content: [{ type: 'image', image: new Uint8Array([1]), mediaType: 'image/png' }] }];
      await rejects(generateText({ ...rest, model, messages: picture }), null, /image/);
    }
    // a second turn from a stored answer
    const first = await generateText({ ...settings, model: models.responses });
    const { responseId } = first.providerMetadata.openai;
    const next = await generateText({ ...settings, model: models.responses, prompt: 'Why?', providerOptions: { openai: { previousResponseId: responseId } } });
    const turns = [{ role: 'user', content: USER }, { role: 'assistant', content: first.text }, { role: 'user', content: 'Why?' }];
    const { prompt, ...rest } = settings;
    assert.equal(next.text, (await generateText({ ...rest, model: models.chat, messages: turns })).text);
    assert.ok((await generateText({ model: openai.completion('any'), prompt: USER, maxOutputTokens: 5 })).text.length > 0);
  },

  async ollama() {
    const client = new Ollama({ host: url });
    assert.deepEqual((await client.list()).models.map((m) => m.name), ['rwkv7-demo']);
    assert.ok((await client.show({ model: 'rwkv7-demo' })).capabilities.includes('completion'));
    assert.equal((await client.ps()).models.length, 1);
    assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
    const vectors = await client.embed({ model: 'any', input: [USER, 'Hi'] });
    assert.deepEqual((await client.embeddings({ model: 'any', prompt: USER })).embedding, vectors.embeddings[0]);
    assert.equal(vectors.embeddings.length, 2);
    const options = { temperature: 0, num_predict: 24 };
    const whole = await client.chat({ model: 'any', messages: MESSAGES, options });
    assert.equal(whole.message.content, TEXT);
    assert.ok(whole.done && whole.eval_count > 0);
    assert.equal(await collect(await client.chat({ model: 'any', messages: MESSAGES, options, stream: true }), (p) => p.message.content), TEXT);
    assert.equal((await client.generate({ model: 'any', system: SYSTEM, prompt: USER, options })).response, TEXT);
    assert.equal(await collect(await client.generate({ model: 'any', system: SYSTEM, prompt: USER, options, stream: true }), (p) => p.response), TEXT);
    const seen = await client.chat({ model: 'any', messages: MESSAGES, format: z.toJSONSchema(SEEN), options: { ...options, num_predict: 400 } });
    checkSeen(JSON.parse(seen.message.content));
    const tools = [{ type: 'function', function: { name: 'zone', description: 'the zone', parameters: ZONE } }];
    assert.ok((await client.chat({ model: 'any', messages: MESSAGES, tools, options })).done);
    await rejects(client.chat({ model: 'any', messages: MESSAGES, options: { temperature: 5000 } }), null, /temperature/);
    const stream = await client.generate({ model: 'any', prompt: USER, stream: true, options: { num_predict: 4000 } });
    for await (const piece of stream) {
      assert.equal(piece.done, false);
      stream.abort();
      break;
    }
  },

  async langchain() {
    const messages = [['system', SYSTEM], ['human', USER]];
    const zone = langchainTool(async (input) => (checkZone(input), 'done'), { name: 'zone', description: 'the zone', schema: ZONE });
    const configuration = { baseURL: `${url}/v1` };
    const more = { model: 'any', temperature: 0, maxRetries: 0 };
    const models = {
      chat: new ChatOpenAI({ ...more, apiKey: 'any', maxTokens: 24, configuration, useResponsesApi: false }),
      responses: new ChatOpenAI({ ...more, apiKey: 'any', maxTokens: 24, configuration, useResponsesApi: true }),
      ollama: new ChatOllama({ ...more, baseUrl: url, numPredict: 24 }),
    };
    for (const [name, model] of Object.entries(models)) {
      assert.equal((await model.invoke(messages)).text, TEXT, name);
      assert.equal(await collect(await model.stream(messages), (p) => p.text), TEXT, name);
    }
    const large = {
      chat: new ChatOpenAI({ ...more, apiKey: 'any', maxTokens: 400, configuration, useResponsesApi: false }),
      responses: new ChatOpenAI({ ...more, apiKey: 'any', maxTokens: 400, configuration, useResponsesApi: true }),
    };
    for (const [name, model] of Object.entries(large)) {
      const called = await model.bindTools([zone], { tool_choice: 'zone' }).invoke(messages);
      assert.equal(called.tool_calls.length, 1, name);
      checkZone(called.tool_calls[0].args);
      const result = await zone.invoke(called.tool_calls[0]);
      const next = await model.bindTools([zone], { tool_choice: 'none' }).invoke([new HumanMessage(USER), called, result]);
      assert.equal(typeof next.text, 'string', name);
      checkSeen(await model.withStructuredOutput(SEEN, { method: 'jsonSchema', name: 'seen' }).invoke(messages));
    }
    checkSeen(await new ChatOllama({ ...more, baseUrl: url, numPredict: 400 }).withStructuredOutput(SEEN, { method: 'jsonSchema' }).invoke(messages));
    const text = await new CompletionOpenAI({ ...more, apiKey: 'any', maxTokens: 5, configuration }).invoke('Once upon a time');
    assert.ok(text.length > 0);
  },
};

await clients[process.argv[3]]();
console.log(`ok ${process.argv[3]}`);
