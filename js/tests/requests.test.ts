import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RequestError, Requests } from "../src/lib/requests";

class Kernel {
  sent: { id: string; kind: string }[] = [];
  listeners = new Set<(message: unknown, buffers?: unknown) => void>();
  on(_: string, fn: (message: unknown, buffers?: unknown) => void) {
    this.listeners.add(fn);
  }
  off(_: string, fn: (message: unknown) => void) {
    this.listeners.delete(fn);
  }
  send(message: { id: string; kind: string }) {
    this.sent.push(message);
  }
  answer(message: object, buffers?: unknown[]) {
    for (const fn of this.listeners) fn(message, buffers);
  }
}

const open = (options = {}) => {
  const kernel = new Kernel();
  return { kernel, requests: new Requests(kernel as never, options) };
};

describe("send", () => {
  it("pairs answers with questions by id, in any order", async () => {
    const { kernel, requests } = open();
    const first = requests.send("card", { neuron: "L1.mlp[2]" });
    const second = requests.send("effects");
    expect(kernel.sent[0]).toMatchObject({ kind: "card", neuron: "L1.mlp[2]" });
    expect(new Set(kernel.sent.map((m) => m.id)).size).toBe(2);
    kernel.answer({ id: kernel.sent[1].id, ok: true, result: 2 });
    kernel.answer({ id: "somebody else's", ok: true, result: 3 });
    kernel.answer({ id: kernel.sent[0].id, ok: true, result: 1 });
    expect(await Promise.all([first, second])).toEqual([1, 2]);
  });

  it("rejects with the type and message that Python gave", async () => {
    const { kernel, requests } = open();
    const asked = requests.send<RequestError>("card");
    kernel.answer({
      id: kernel.sent[0].id,
      ok: false,
      error: { type: "ValueError", message: "no such neuron" },
    });
    const error = await asked.catch((e: RequestError) => e);
    expect(error).toBeInstanceOf(RequestError);
    expect([error.type, error.message]).toEqual(["ValueError", "no such neuron"]);
  });

  it("cannot be renamed by its payload", () => {
    const { kernel, requests } = open();
    requests.send("card", { kind: "export", id: "1" }).catch(() => {});
    expect(kernel.sent[0].kind).toBe("card");
    expect(kernel.sent[0].id).not.toBe("1");
  });

  it("gives buffers as DataView, whatever the host hands over", async () => {
    const { kernel, requests } = open();
    for (const buffer of [Uint8Array.of(7, 8), new DataView(Uint8Array.of(7, 8).buffer)]) {
      const asked = requests.exchange("export");
      kernel.answer({ id: kernel.sent.at(-1)?.id, ok: true, result: null }, [buffer]);
      const { buffers } = await asked;
      expect(buffers[0].getUint8(1)).toBe(8);
    }
  });

  it("rejects when the message cannot be sent", async () => {
    const { kernel, requests } = open();
    kernel.send = () => {
      throw new Error("no comm");
    };
    await expect(requests.send("card")).rejects.toThrow("no comm");
  });
});

describe("ping", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is true when the answer comes in time", async () => {
    const onBusy = vi.fn();
    const { kernel, requests } = open({ onBusy });
    const asked = requests.ping();
    kernel.answer({ id: kernel.sent[0].id, ok: true, result: null });
    expect(await asked).toBe(true);
    await vi.advanceTimersByTimeAsync(2000);
    expect(onBusy).not.toHaveBeenCalled();
  });

  it("says busy after 800 ms, and free again when the answer comes after all", async () => {
    const onBusy = vi.fn();
    const { kernel, requests } = open({ onBusy });
    const asked = requests.ping();
    requests.ping();
    expect(kernel.sent.length).toBe(1);
    await vi.advanceTimersByTimeAsync(799);
    expect(onBusy).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(onBusy).toHaveBeenLastCalledWith(true);
    expect(await asked).toBe(false);
    kernel.answer({ id: kernel.sent[0].id, ok: true, result: null });
    await vi.advanceTimersByTimeAsync(0);
    expect(onBusy).toHaveBeenLastCalledWith(false);
  });
});

it("dispose rejects what is open, stops the clock and leaves no listener", async () => {
  vi.useFakeTimers();
  const onBusy = vi.fn();
  const { kernel, requests } = open({ onBusy });
  const asked = requests.send("card").catch((e) => e.type);
  requests.ping();
  requests.dispose();
  expect(kernel.listeners.size).toBe(0);
  expect(await asked).toBe("Closed");
  await vi.advanceTimersByTimeAsync(5000);
  expect(onBusy).not.toHaveBeenCalled();
  await expect(requests.send("card")).rejects.toThrow("closed");
  vi.useRealTimers();
});
