/**
 * Finds the first token in a streamed chat completion (server-sent events, HTML section 9.2; OpenAI's chunk format): the
 * first `data:` line whose JSON has a non-empty `choices[].delta.content`.
 */

/** A longer line is no token; what is kept of it stays within this. */
const MAX_LINE_LENGTH = 256 * 1024;

export class FirstToken {
  private line = "";
  private skipping = false;
  private readonly decoder = new TextDecoder();

  /** Takes the next bytes of the body, cut anywhere. True once a line with a token is complete. */
  push(chunk: Uint8Array): boolean {
    // A line may end in CR, LF or CRLF; the empty line that CRLF makes here says nothing.
    const parts = this.decoder.decode(chunk, { stream: true }).split(/[\r\n]/);
    const last = parts.length - 1;
    return parts.some((part, index) => {
      this.append(part);
      return index < last && carriesToken(this.takeLine());
    });
  }

  private append(part: string): void {
    if (this.skipping || this.line.length + part.length > MAX_LINE_LENGTH) {
      this.skipping = true;
      this.line = "";
    } else {
      this.line += part;
    }
  }

  private takeLine(): string {
    const { line } = this;
    this.line = "";
    this.skipping = false;
    return line;
  }
}

function carriesToken(line: string): boolean {
  if (!line.startsWith("data:")) return false;
  try {
    return choicesOf(JSON.parse(line.slice("data:".length))).some((choice) => {
      const content = field(field(choice, "delta"), "content");
      return typeof content === "string" && content !== "";
    });
  } catch {
    // `[DONE]` and keep-alives are no JSON.
    return false;
  }
}

function choicesOf(chunk: unknown): readonly unknown[] {
  const choices = field(chunk, "choices");
  return Array.isArray(choices) ? choices : [];
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
