/**
 * A language model that always says the same, behind the interface that LLM gateways speak.
 * https://platform.openai.com/docs/api-reference/chat
 */

import { z } from "zod";

import {
  RequestError,
  startBackend,
  unknownOperation,
  type Backend,
  type BackendOptions,
  type Exchange,
} from "./server-backend.js";

const SAYING = "A request crosses every hop twice , so measure both ways before you blame the model . ".split(/(?<= )/);

const chatRequest = z.object({
  model: z.string().optional(),
  messages: z.array(z.object({ role: z.string(), content: z.unknown() })).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
});

type ChatRequest = z.infer<typeof chatRequest>;

export interface ChatOptions extends BackendOptions {
  readonly model?: string;
  /** From the request to the first token. Default 60. */
  readonly timeToFirstTokenMs?: number;
  /** From one token to the next. Default 10. */
  readonly tokenGapMs?: number;
  /** How many tokens an answer has, unless its request allows fewer. Default 20. */
  readonly tokens?: number;
  /**
   * Takes the place of both times in a stream: event `index` (0 is the role, 1 the first token, the last `[DONE]`) is
   * sent when the promise resolves. So a test can hold a stream in lock-step with its reader.
   */
  readonly gate?: (index: number) => Promise<void>;
}

/** Starts a chat service: `POST /v1/chat/completions`, `GET /v1/models`, `GET /healthz`. @throws Failure if the port cannot be had. */
export function startChat(options: ChatOptions = {}): Promise<Backend> {
  const { model: defaultModel = "local-chat", timeToFirstTokenMs = 60, tokenGapMs = 10, tokens = 20, gate } = options;
  let answers = 0;

  async function complete(exchange: Exchange): Promise<void> {
    const parsed = chatRequest.safeParse(await exchange.body());
    if (!parsed.success) throw new RequestError(400, z.prettifyError(parsed.error));
    const request = parsed.data;
    const completion = compose(request, tokens);
    const common = {
      id: `chatcmpl-${++answers}`,
      created: Math.floor(Date.now() / 1000),
      model: request.model ?? defaultModel,
    };
    if (request.stream) {
      const chunks = chunksOf(completion, request).map((chunk) => ({
        ...common,
        object: "chat.completion.chunk",
        ...chunk,
      }));
      await stream(exchange, [...chunks.map((chunk) => JSON.stringify(chunk)), "[DONE]"], completion.words.length);
    } else {
      await exchange.pause(timeToFirstTokenMs + tokenGapMs * (completion.words.length - 1));
      exchange.json(200, { ...common, object: "chat.completion", ...wholeAnswer(completion) });
    }
  }

  /** The headers leave with the first event, so that the time to the first token is this service's own in every trace. */
  async function stream(exchange: Exchange, events: readonly string[], words: number): Promise<void> {
    const waitMs = (index: number): number => {
      if (index === 0) return timeToFirstTokenMs;
      return index >= 2 && index <= words ? tokenGapMs : 0;
    };
    for (const [index, data] of events.entries()) {
      await (gate ? gate(index) : exchange.pause(waitMs(index)));
      if (index === 0) exchange.beginEvents();
      await exchange.event(data);
    }
    exchange.endEvents();
  }

  return startBackend(options, async (exchange) => {
    switch (exchange.operation) {
      case "POST /v1/chat/completions":
        return complete(exchange);
      case "GET /v1/models":
        return exchange.json(200, {
          object: "list",
          data: [{ id: defaultModel, object: "model", created: 0, owned_by: "hopgate" }],
        });
      default:
        throw unknownOperation(exchange);
    }
  });
}

interface Completion {
  readonly words: readonly string[];
  readonly finishReason: "stop" | "length";
  readonly usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
}

function compose(request: ChatRequest, tokens: number): Completion {
  const length = Math.min(tokens, request.max_completion_tokens ?? request.max_tokens ?? tokens);
  const words = Array.from({ length }, (_, index) => SAYING[index % SAYING.length] ?? "");
  const prompt = request.messages.map(({ content }) =>
    typeof content === "string" ? content : JSON.stringify(content),
  );
  const promptTokens = prompt.join(" ").split(/\s+/).filter(Boolean).length;
  return {
    words,
    finishReason: length < tokens ? "length" : "stop",
    usage: { prompt_tokens: promptTokens, completion_tokens: length, total_tokens: promptTokens + length },
  };
}

function wholeAnswer({ words, finishReason, usage }: Completion): Record<string, unknown> {
  const message = { role: "assistant", content: words.join("") };
  return { choices: [{ index: 0, message, finish_reason: finishReason }], usage };
}

/** Role first, then one chunk a token, the reason for the end, and the usage where it was asked for. */
function chunksOf({ words, finishReason, usage }: Completion, request: ChatRequest): Record<string, unknown>[] {
  const withUsage = request.stream_options?.include_usage === true;
  const choice = (delta: Record<string, string>, finish: string | null): Record<string, unknown> => ({
    choices: [{ index: 0, delta, finish_reason: finish }],
    ...(withUsage ? { usage: null } : {}),
  });
  return [
    choice({ role: "assistant", content: "" }, null),
    ...words.map((content) => choice({ content }, null)),
    choice({}, finishReason),
    ...(withUsage ? [{ choices: [], usage }] : []),
  ];
}
