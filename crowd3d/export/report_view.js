// -- WebGL ----------------------------------------------------------------------------------------
const gl = canvas.getContext("webgl2", { antialias: true, alpha: false });
if (!gl) {
  canvas.hidden = true;
  $("nogl").hidden = false;
  document.querySelector(".buttons").hidden = true;
  return;
}
function program(vertex, fragment) {
  const p = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, "#version 300 es\nprecision highp float;\n" + source);
    gl.compileShader(shader);
    gl.attachShader(p, shader);
  }
  gl.bindAttribLocation(p, 0, "position");
  gl.bindAttribLocation(p, 1, "normal");
  gl.linkProgram(p);
  if (!gl.getProgramParameter(p, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(p));
  return new Proxy({}, { get: (_, name) => (name === "it" ? p : gl.getUniformLocation(p, name)) });
}
function located(p, names) {
  return Object.fromEntries([["it", p.it], ...names.map((name) => [name, p[name]])]);
}
const bodyProgram = located(program(
  `in vec3 position; in vec3 normal; uniform mat4 view; uniform vec3 foot; uniform float step_m; out vec3 n;
   void main() { n = normal; gl_Position = view * vec4(foot + step_m * position, 1.0); }`,
  `in vec3 n; uniform vec3 color; uniform bool flat_color; out vec4 pixel;
   void main() {
     vec3 m = normalize(n);
     float light = 0.52 + 0.20 * m.y + 0.34 * max(dot(m, normalize(vec3(-0.4, 0.7, 0.6))), 0.0);
     pixel = vec4(flat_color ? color : color * light, 1.0);
   }`), ["view", "foot", "step_m", "color", "flat_color"]);
const groundProgram = located(program(
  `in vec3 position; uniform mat4 view; out vec2 place;
   void main() { place = position.xz; gl_Position = view * vec4(position, 1.0); }`,
  `in vec2 place; uniform vec2 middle; uniform float reach; uniform float ink; out vec4 pixel;
   float grid(float size) {
     vec2 q = place / size, w = fwidth(q), d = abs(fract(q - 0.5) - 0.5) / max(w, 1e-6);
     return (1.0 - min(min(d.x, d.y), 1.0)) * clamp(0.6 - max(w.x, w.y), 0.0, 0.6) / 0.6;
   }
   void main() {
     float fade = 1.0 - smoothstep(0.6, 1.0, length(place - middle) / reach);
     pixel = vec4(vec3(ink), fade * max(0.03, max(0.16 * grid(1.0), 0.42 * grid(10.0))));
   }`), ["view", "middle", "reach", "ink"]);
const lineProgram = located(program(
  "in vec3 position; uniform mat4 view; void main() { gl_Position = view * vec4(position, 1.0); }",
  "uniform vec3 color; out vec4 pixel; void main() { pixel = vec4(color, 1.0); }"), ["view", "color"]);

function buffer(kind, content) {
  const b = gl.createBuffer();
  gl.bindBuffer(kind, b);
  gl.bufferData(kind, content, gl.STATIC_DRAW);
  return b;
}
const nBodies = data.bodies.length, nVertices = data.n_vertices;
const positions = new Int16Array(bytes(document.getElementById("positions").textContent));
const faces = new (data.wide_faces ? Uint32Array : Uint16Array)(bytes(data.faces));
const positionBuffer = buffer(gl.ARRAY_BUFFER, positions);
const normalBuffer = buffer(gl.ARRAY_BUFFER, smoothNormals(positions, faces, nVertices, nBodies));
const faceBuffer = buffer(gl.ELEMENT_ARRAY_BUFFER, faces);
const lineBuffer = gl.createBuffer();
const bodyOf = new Map(data.bodies.map((row, b) => [row, b]));

// -- where the crowd is, and the views of it ------------------------------------------------------------
const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.floor(q * (values.length - 1))];
function extent() {
  if (!nBodies) return { middle: [0, 0, -10], reach: 12 };
  const axis = (k) => data.feet.map((foot) => foot[k]);
  const middle = [quantile(axis(0), 0.5), quantile(axis(1), 0.5) + 0.8, quantile(axis(2), 0.5)];
  const away = data.feet.map((foot) => Math.hypot(foot[0] - middle[0], foot[2] - middle[2]));
  return { middle, reach: Math.max(3, quantile(away, 0.95)) };
}
const crowd = extent();
const groundReach = 2.5 * crowd.reach + Math.hypot(crowd.middle[0], crowd.middle[2]) + 10;
const endless = [-1, 1].flatMap((z) => [-1, 1].map((x) => [crowd.middle[0] + x * groundReach, 0, crowd.middle[2] + z * groundReach]));
const grounds = (data.ground.length ? data.ground : [{ points: endless, faces: [[0, 1, 2], [1, 3, 2]] }]).map((part) => ({
  points: buffer(gl.ARRAY_BUFFER, new Float32Array(part.points.flat())),
  faces: buffer(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(part.faces.flat())),
  count: 3 * part.faces.length,
}));
const place = data.camera.place, forward = unit(data.camera.forward);
const photoYaw = Math.atan2(forward[0], -forward[2]), photoPitch = Math.asin(Math.max(-1, Math.min(1, -forward[1])));
const views = {
  orbit: () => ({ target: crowd.middle, yaw: photoYaw + 0.45, pitch: 0.42, distance: 1.7 * crowd.reach + 4, yfov: 0.7 }),
  photo: () => {
    const distance = Math.max(1, dot(add(crowd.middle, place, -1), forward));
    return { target: add(place, forward, distance), yaw: photoYaw, pitch: photoPitch, distance, yfov: data.camera.yfov };
  },
  above: () => ({ target: crowd.middle, yaw: photoYaw, pitch: Math.PI / 2 - 1e-3, distance: 3 * crowd.reach + 3, yfov: 0.7 }),
};
let view = views.orbit();
const towards = () => [Math.sin(view.yaw) * Math.cos(view.pitch), -Math.sin(view.pitch), -Math.cos(view.yaw) * Math.cos(view.pitch)];
function viewMatrix() {
  const eye = add(view.target, towards(), -view.distance), reach = view.distance + 3 * crowd.reach + Math.hypot(...place) + 100;
  const lens = perspective(view.yfov, canvas.width / canvas.height, Math.max(0.02, view.distance / 400), reach);
  return multiply(lens, lookAt(eye, view.target, [0, 1, 0]));
}
visit = (i) => {
  const b = bodyOf.get(i);
  if (b === undefined) return;
  view.target = add(data.feet[b], [0, 0.9, 0]);
  view.distance = Math.min(view.distance, 14);
};

// -- drawing ----------------------------------------------------------------------------------------
function drawBodies(matrix, paint, flat) {
  const p = bodyProgram;
  gl.useProgram(p.it);
  gl.uniformMatrix4fv(p.view, false, matrix);
  gl.uniform1f(p.step_m, data.step_m);
  gl.uniform1i(p.flat_color, flat);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faceBuffer);
  gl.enableVertexAttribArray(0);
  gl.enableVertexAttribArray(1);
  for (let b = 0; b < nBodies; b++) {
    gl.bindBuffer(gl.ARRAY_BUFFER, positionBuffer);
    gl.vertexAttribPointer(0, 3, gl.SHORT, false, 6, 6 * b * nVertices);
    gl.bindBuffer(gl.ARRAY_BUFFER, normalBuffer);
    gl.vertexAttribPointer(1, 3, gl.BYTE, true, 4, 4 * b * nVertices);
    gl.uniform3fv(p.foot, data.feet[b]);
    gl.uniform3fv(p.color, paint(b));
    gl.drawElements(gl.TRIANGLES, faces.length, data.wide_faces ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT, 0);
  }
  gl.disableVertexAttribArray(1);
}
function drawGround(matrix, dark) {
  const p = groundProgram;
  gl.useProgram(p.it);
  gl.uniformMatrix4fv(p.view, false, matrix);
  gl.uniform2f(p.middle, crowd.middle[0], crowd.middle[2]);
  gl.uniform1f(p.reach, groundReach);
  gl.uniform1f(p.ink, dark ? 0.9 : 0.1);
  gl.enableVertexAttribArray(0);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  gl.depthMask(false);
  for (const part of grounds) {
    gl.bindBuffer(gl.ARRAY_BUFFER, part.points);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 12, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.faces);
    gl.drawElements(gl.TRIANGLES, part.count, gl.UNSIGNED_SHORT, 0);
  }
  gl.depthMask(true);
  gl.disable(gl.BLEND);
}
function drawLines(matrix, points, color) {
  gl.useProgram(lineProgram.it);
  gl.uniformMatrix4fv(lineProgram.view, false, matrix);
  gl.uniform3fv(lineProgram.color, color);
  gl.bindBuffer(gl.ARRAY_BUFFER, lineBuffer);
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(points.flat()), gl.DYNAMIC_DRAW);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 12, 0);
  gl.drawArrays(gl.LINES, 0, points.length);
}
function frustum() {
  const tips = data.camera.corners.map((ray) => add(place, ray, 0.08 * crowd.reach + 0.6));
  return tips.flatMap((tip, k) => [place, tip, tip, tips[(k + 1) % 4]]);
}
function ellipse(i) {
  const person = data.people[i], b = bodyOf.get(i), lines = [];
  if (b === undefined || person.sigma_major_m === null) return lines;
  const foot = data.feet[b], turn = Math.PI / 2 - person.sigma_angle_deg * Math.PI / 180;
  const at = (k) => {
    const t = 2 * Math.PI * k / 64;
    const u = data.sigmas * person.sigma_major_m * Math.cos(t), v = data.sigmas * person.sigma_minor_m * Math.sin(t);
    return [foot[0] + u * Math.cos(turn) - v * Math.sin(turn), foot[1] + 0.02, foot[2] - u * Math.sin(turn) - v * Math.cos(turn)];
  };
  for (let k = 0; k < 64; k++) lines.push(at(k), at(k + 1));
  return lines;
}
const hex = (text) => [1, 3, 5].map((k) => parseInt((text.length === 4 ? text.replace(/\w/g, "$&$&") : text).slice(k, k + 2), 16) / 255);
const css = (name) => hex(getComputedStyle(document.documentElement).getPropertyValue(name).trim());

function draw() {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  gl.viewport(0, 0, canvas.width, canvas.height);
  const back = css("--stage"), accent = css("--accent"), dark = back[0] < 0.5, matrix = viewMatrix();
  gl.clearColor(...back, 1);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  gl.enable(gl.DEPTH_TEST);
  if (data.has_ground) drawGround(matrix, dark);
  drawBodies(matrix, (b) => (data.bodies[b] === chosen ? accent : data.colors[data.bodies[b]]), false);
  drawLines(matrix, frustum(), dark ? [0.85, 0.85, 0.85] : [0.25, 0.25, 0.25]);
  if (chosen >= 0) drawLines(matrix, ellipse(chosen), accent);
}
let waiting = false;
redraw = () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
};

// -- choosing: bodies are drawn in the colour of their number, one pixel is read back ------------------------
function bodyAt(x, y) {
  const target = gl.createFramebuffer(), color = gl.createRenderbuffer(), depth = gl.createRenderbuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, target);
  for (const [buffer_, format_, point] of [[color, gl.RGBA8, gl.COLOR_ATTACHMENT0], [depth, gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT]]) {
    gl.bindRenderbuffer(gl.RENDERBUFFER, buffer_);
    gl.renderbufferStorage(gl.RENDERBUFFER, format_, canvas.width, canvas.height);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, point, gl.RENDERBUFFER, buffer_);
  }
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.clearColor(0, 0, 0, 0);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  drawBodies(viewMatrix(), (b) => [((b + 1) & 255) / 255, ((b + 1) >> 8 & 255) / 255, ((b + 1) >> 16) / 255], true);
  const box = canvas.getBoundingClientRect(), pixel = new Uint8Array(4);
  const px = Math.floor((x - box.left) / box.width * canvas.width);
  const py = canvas.height - 1 - Math.floor((y - box.top) / box.height * canvas.height);
  gl.readPixels(px, py, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  gl.deleteFramebuffer(target);
  gl.deleteRenderbuffer(color);
  gl.deleteRenderbuffer(depth);
  const b = pixel[0] + 256 * pixel[1] + 65536 * pixel[2] - 1;
  return b >= 0 && b < nBodies ? data.bodies[b] : -1;
}

// -- hands -----------------------------------------------------------------------------------------
function turn(dx, dy) {
  view.yaw += dx;
  view.pitch = Math.max(-0.2, Math.min(Math.PI / 2 - 1e-3, view.pitch + dy));
  redraw();
}
function move(dx, dy) {
  const size = 2 * view.distance * Math.tan(view.yfov / 2) / canvas.clientHeight;
  const right = [Math.cos(view.yaw), 0, Math.sin(view.yaw)], up = cross(right, towards());
  view.target = add(add(view.target, right, -dx * size), up, dy * size);
  redraw();
}
function zoom(factor) {
  view.distance = Math.max(0.5, Math.min(5000, view.distance * factor));
  redraw();
}
const pointers = new Map();
let travelled = 0;
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (pointers.size === 1) travelled = 0;
});
canvas.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = [event.clientX, event.clientY], dx = now[0] - before[0], dy = now[1] - before[1];
  travelled += Math.abs(dx) + Math.abs(dy);
  if (pointers.size === 2) {
    const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
    const gap = (p) => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
    zoom(gap(before) / gap(now));
    move(dx / 2, dy / 2);
  } else if (event.shiftKey || event.buttons & 6) move(dx, dy);
  else turn(-dx * 0.006, dy * 0.006);
  pointers.set(event.pointerId, now);
});
canvas.addEventListener("pointerup", (event) => {
  if (pointers.delete(event.pointerId) && travelled < 5 && event.button === 0) choose(bodyAt(event.clientX, event.clientY), false);
});
canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
canvas.addEventListener("contextmenu", (event) => event.preventDefault());
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(Math.max(-120, Math.min(120, event.deltaY)) * 0.0015));
}, { passive: false });
const KEYS = {
  ArrowLeft: () => turn(-0.08, 0), ArrowRight: () => turn(0.08, 0), ArrowUp: () => turn(0, 0.06), ArrowDown: () => turn(0, -0.06),
  "+": () => zoom(0.87), "-": () => zoom(1.15), Escape: () => choose(-1, false),
};
canvas.addEventListener("keydown", (event) => {
  if (!KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
for (const name of Object.keys(views)) $(name).addEventListener("click", () => { view = views[name](); redraw(); });
new ResizeObserver(draw).observe(canvas);  // in the same frame, so that nothing is stretched
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
draw();
