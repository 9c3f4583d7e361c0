import { describe, expect, it, vi } from "vitest";
import { StaticModel } from "../src/hosts/static-host";
import { bind } from "../src/lib/bindings";

const tick = () => Promise.resolve();

describe("bind", () => {
  it("reads, and writes with save_changes", () => {
    const model = new StaticModel({ text: "a" });
    const saved = vi.fn();
    model.on("change", saved);
    const binding = bind<{ text: string }>(model as never);
    binding.set("text", "b");
    expect(binding.get("text")).toBe("b");
    expect(saved).toHaveBeenCalledOnce();
  });

  it("calls once for changes of several traits in one message", async () => {
    const model = new StaticModel({ a: 1, b: 1 });
    const fn = vi.fn();
    bind<{ a: number; b: number }>(model as never).on(["a", "b"], fn);
    model.set({ a: 2, b: 2 });
    expect(fn).not.toHaveBeenCalled();
    await tick();
    expect(fn).toHaveBeenCalledOnce();
  });

  it("removes its own listeners and no others", async () => {
    const model = new StaticModel({ a: 1 });
    const other = vi.fn();
    const mine = vi.fn();
    model.on("change:a", other);
    const binding = bind<{ a: number }>(model as never);
    binding.on("a", mine);
    expect(model.listening).toBe(2);
    model.set("a", 2);
    binding.dispose();
    await tick();
    expect(model.listening).toBe(1);
    model.set("a", 3);
    expect(other).toHaveBeenCalledTimes(2);
    // not even the change that was on its way
    expect(mine).not.toHaveBeenCalled();
    binding.set("a", 9);
    expect(model.get("a")).toBe(3);
  });

  it("hands over what a listener throws", async () => {
    const model = new StaticModel({ a: 1 });
    const failed = vi.fn();
    bind<{ a: number }>(model as never, failed).on("a", () => {
      throw new Error("bad shape");
    });
    model.set("a", 2);
    await tick();
    expect(failed.mock.calls[0][0].message).toBe("bad shape");
  });
});
