import { Blob as NodeBlob } from "node:buffer";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { boot, StaticModel } from "../src/hosts/static-host";

afterEach(() => {
  document.body.replaceChildren();
  location.hash = "";
  delete document.documentElement.dataset.nwReady;
});
beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));

const block = (id: string, text: string) => {
  const script = document.createElement("script");
  script.type = "application/json";
  script.id = id;
  script.textContent = text;
  document.body.append(script);
};
const place = (id: string, kind: string) => {
  const el = document.createElement("div");
  Object.assign(el.dataset, { nwView: id, nwKind: kind });
  document.body.append(el);
  return el;
};

it("gives each view its state, with its buffers in place", async () => {
  block("nw-c1", ` ${btoa("\u0001\u0002\u0003")}\n`);
  block(
    "nw-state",
    JSON.stringify({
      a: {
        kind: "probe",
        state: { _matrix: { dtype: "uint8", shape: [3] } },
        buffers: [{ path: ["_matrix", "data"], id: "nw-c1", encoding: "raw" }],
      },
    }),
  );
  place("a", "probe");
  const render = vi.fn();
  await boot({ probe: { render } });
  const { model } = render.mock.calls[0][0];
  const data = model.get("_matrix").data;
  expect(data).toBeInstanceOf(DataView);
  expect([data.getUint8(0), data.getUint8(2), data.byteLength]).toEqual([1, 3, 3]);
  expect(Number(document.documentElement.dataset.nwReady)).toBeGreaterThanOrEqual(0);
});

it("answers a command with what the page was given, and says when that is damaged", async () => {
  vi.stubGlobal("Blob", NodeBlob); // jsdom's has no stream
  const packed = async (text: string) => {
    const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate"));
    return btoa(String.fromCharCode(...new Uint8Array(await new Response(stream).arrayBuffer())));
  };
  block("nw-answer a card L0.mlp[1]", await packed('{"neuron":"L0.mlp[1]","text":"é"}'));
  block("nw-answer a card L0.mlp[2]", "AAAA");
  block("nw-answer b index", await packed("[]"));
  block("nw-state", JSON.stringify({ a: { kind: "probe", state: {}, buffers: [] } }));
  place("a", "probe");
  const render = vi.fn();
  await boot({ probe: { render } });
  const { model } = render.mock.calls[0][0];
  const replies: { id: string; ok: boolean; result?: unknown; error?: { type: string } }[] = [];
  model.on("msg:custom", (reply: (typeof replies)[0]) => replies.push(reply));
  model.send({ id: "1", kind: "card", neuron: "L0.mlp[1]" });
  model.send({ id: "2", kind: "card", neuron: "L0.mlp[2]" });
  model.send({ id: "3", kind: "index" });
  await vi.waitFor(() => expect(replies.length).toBe(3));
  const of = (id: string) => replies.find((reply) => reply.id === id);
  expect(of("1")).toMatchObject({ ok: true, result: { neuron: "L0.mlp[1]", text: "é" } });
  expect(of("2")?.error?.type).toBe("Damaged");
  expect(of("3")?.error?.type).toBe("NoKernel");
  vi.unstubAllGlobals();
});

it("shows an error in the view that has it, and draws the others", async () => {
  block(
    "nw-state",
    JSON.stringify({
      a: { kind: "bad", state: {}, buffers: [] },
      b: { kind: "good", state: {}, buffers: [] },
      c: { kind: "good", state: { x: {} }, buffers: [{ path: ["x", "data"], id: "gone", encoding: "raw" }] },
    }),
  );
  const [bad, good, lost, unknown, missing] = [
    place("a", "bad"),
    place("b", "good"),
    place("c", "good"),
    place("b", "constructor"),
    place("zz", "good"),
  ];
  await boot({
    bad: {
      render() {
        throw new Error("<b>no shape</b>");
      },
    },
    good: { render: ({ el }: { el: HTMLElement }) => el.append("drawn") } as never,
  });
  expect(good.textContent).toBe("drawn");
  expect(bad.querySelector("[role=alert]")?.textContent).toContain("<b>no shape</b>");
  expect(bad.querySelector("b")).toBeNull();
  expect(lost.textContent).toMatch(/lost the data block gone/);
  expect(unknown.textContent).toMatch(/no script for views of the kind "constructor"/);
  expect(missing.textContent).toMatch(/no data for the view "zz"/);
  expect(document.documentElement.dataset.nwReady).toBeDefined();
});

it("answers every message: there is no kernel", async () => {
  const model = new StaticModel({});
  const heard = vi.fn();
  model.on("msg:custom", heard);
  model.send({ id: "7", kind: "card" } as never);
  expect(heard).not.toHaveBeenCalled();
  await Promise.resolve();
  expect(heard.mock.calls[0][0]).toMatchObject({ id: "7", ok: false, error: { type: "NoKernel" } });
});

it("selects the neuron that the address names, in the views that can", async () => {
  block(
    "nw-state",
    JSON.stringify({
      a: { kind: "probe", state: { selected_neuron: null }, buffers: [] },
      b: { kind: "probe", state: { selected_token: 3 }, buffers: [] },
    }),
  );
  place("a", "probe");
  place("b", "probe");
  location.hash = "#L5.mlp%5B131%5D";
  const models: StaticModel[] = [];
  await boot({ probe: { render: ({ model }: { model: StaticModel }) => models.push(model) } as never });
  expect(models.map((model) => model.get("selected_neuron"))).toEqual(["L5.mlp[131]", undefined]);
  for (const [hash, expected] of [
    ["#L2.mlp[7]", "L2.mlp[7]"],
    ["#introduction", "L2.mlp[7]"],
    ["#%E0%A4%A", "L2.mlp[7]"],
  ]) {
    location.hash = hash;
    window.dispatchEvent(new Event("hashchange"));
    expect(models[0].get("selected_neuron")).toBe(expected);
  }
});

it("tells listeners of changes only", () => {
  const model = new StaticModel({ a: 1 });
  const heard = vi.fn();
  model.on("change:a", heard);
  model.set("a", 1);
  expect(heard).not.toHaveBeenCalled();
  model.set({ a: 2, b: 3 });
  expect(heard).toHaveBeenCalledOnce();
  expect(model.get("b")).toBe(3);
  model.off("change:a", heard);
  model.set("a", 5);
  expect(heard).toHaveBeenCalledOnce();
});
