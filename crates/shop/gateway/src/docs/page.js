// Lists the operations of the OpenAPI document, fills in their examples, sends them and shows the answer.
// Everything is put on the page as text, never as markup.

const METHODS = ["get", "post", "put", "patch", "delete"];
const TOKEN_ROUTE = "/api/login";

const element = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

const resolve = (api, schema) => {
  if (!schema?.$ref) return schema ?? {};
  return schema.$ref.replace("#/", "").split("/").reduce((node, key) => node[key], api);
};

const exampleOf = (api, schema) => {
  const resolved = resolve(api, schema);
  return resolved.examples?.[0] ?? resolved.example ?? "";
};

const field = (title, input) => {
  const label = element("label", {}, title);
  label.append(input);
  return label;
};

const parameterInputs = (api, operation) => (operation.parameters ?? []).map((parameter) => {
  const isRequired = parameter.required || parameter.in === "path";
  const input = element("input", { autocomplete: "off", spellcheck: "false" });
  input.value = isRequired ? exampleOf(api, parameter.schema) : "";
  const title = `${parameter.name}, ${parameter.in}${isRequired ? "" : ", optional"}: ${parameter.description ?? ""}`;
  return { parameter, input, label: field(title, input) };
});

const requestOf = (path, method, inputs, body) => {
  const query = new URLSearchParams();
  const headers = new Headers();
  let target = path;
  for (const { parameter, input } of inputs) {
    const value = input.value.trim();
    if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value && parameter.in === "query") query.set(parameter.name, value);
    else if (value && parameter.in === "header") headers.set(parameter.name, value);
  }
  if (query.size > 0) target += `?${query}`;
  const token = document.getElementById("token").value.trim();
  if (token && path !== TOKEN_ROUTE) headers.set("authorization", `Bearer ${token}`);
  if (body) headers.set("content-type", "application/json");
  return [target, { method: method.toUpperCase(), headers, body: body?.value }];
};

const showAnswer = async (output, target, options) => {
  output.replaceChildren("Sending.");
  const started = performance.now();
  try {
    const response = await fetch(target, options);
    const text = await response.text();
    const milliseconds = Math.round(performance.now() - started);
    const trace = response.headers.get("traceresponse")?.split("-")[1];
    const status = element("p", {}, `${response.status} ${response.statusText} in ${milliseconds} ms`);
    if (!response.ok) status.classList.add("bad");
    output.replaceChildren(status);
    if (trace) output.append(element("p", {}, "trace ", element("code", {}, trace)));
    for (const name of ["location", "retry-after", "idempotent-replayed"]) {
      const value = response.headers.get(name);
      if (value) output.append(element("p", {}, `${name}: ${value}`));
    }
    output.append(element("pre", {}, pretty(text)));
    return { response, text };
  } catch (error) {
    output.replaceChildren(element("p", { class: "bad" }, `No answer: ${error.message}`));
    return null;
  }
};

const pretty = (text) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
};

const responsesOf = (operation) => {
  const rows = Object.entries(operation.responses ?? {}).map(([status, response]) =>
    element("tr", {}, element("td", {}, status), element("td", {}, response.description ?? "")));
  return element("table", {}, element("tbody", {}, ...rows));
};

const operationNode = (api, path, method, operation) => {
  const summary = element("summary", {},
    element("span", { class: `method ${method}` }, method.toUpperCase()),
    element("code", {}, path), element("span", {}, operation.summary ?? ""));
  const inputs = parameterInputs(api, operation);
  const schema = operation.requestBody?.content?.["application/json"]?.schema;
  let body = null;
  if (schema) {
    body = element("textarea", { spellcheck: "false" });
    body.value = JSON.stringify(exampleOf(api, schema), null, 2);
  }
  const output = element("div", { "aria-live": "polite" });
  const send = element("button", { type: "submit" }, "Send");
  const form = element("form", {}, ...inputs.map(({ label }) => label), ...(body ? [field("Body", body)] : []), send);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [target, options] = requestOf(path, method, inputs, body);
    const answer = await showAnswer(output, target, options);
    if (path === TOKEN_ROUTE && answer?.response.ok) {
      document.getElementById("token").value = JSON.parse(answer.text).access_token;
    }
  });
  const description = element("p", {}, operation.description ?? "");
  const content = element("div", { class: "operation" }, description, form, output,
    element("h2", {}, "Answers"), responsesOf(operation));
  return element("details", { id: operation.operationId ?? "" }, summary, content);
};

const show = (api) => {
  document.getElementById("about").textContent = api.info.description ?? "";
  const groups = new Map((api.tags ?? []).map((tag) => [tag.name, [element("h2", {}, `${tag.name}: ${tag.description}`)]]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((method) => item[method])) {
      const group = item[method].tags?.[0] ?? "";
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(operationNode(api, path, method, item[method]));
    }
  }
  const nodes = [...groups.values()].flat();
  const main = document.getElementById("operations");
  main.replaceChildren(...nodes);
  document.getElementById(location.hash.slice(1) || "create_order")?.setAttribute("open", "");
};

document.getElementById("login").addEventListener("submit", (event) => event.preventDefault());

try {
  show(await (await fetch("/api/openapi.json")).json());
} catch (error) {
  document.getElementById("operations").textContent = `The description could not be loaded: ${error.message}`;
}
