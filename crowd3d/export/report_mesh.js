// -- small vector algebra, column-major matrices as WebGL has them -----------------------------------
const add = (a, b, s = 1) => a.map((v, k) => v + s * b[k]);
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => { const n = Math.hypot(...a) || 1; return a.map((v) => v / n); };
function multiply(a, b) {
  const c = new Float32Array(16);
  for (let i = 0; i < 4; i++) for (let j = 0; j < 4; j++) {
    for (let k = 0; k < 4; k++) c[4 * j + i] += a[4 * k + i] * b[4 * j + k];
  }
  return c;
}
function lookAt(eye, target, up) {
  const z = unit(add(eye, target, -1)), x = unit(cross(up, z)), y = cross(z, x);
  return new Float32Array([
    x[0], y[0], z[0], 0, x[1], y[1], z[1], 0, x[2], y[2], z[2], 0, -dot(x, eye), -dot(y, eye), -dot(z, eye), 1,
  ]);
}
function perspective(yfov, aspect, near, far) {
  const f = 1 / Math.tan(yfov / 2), d = near - far;
  return new Float32Array([f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / d, -1, 0, 0, 2 * far * near / d, 0]);
}

// -- bodies ---------------------------------------------------------------------------------------
function bytes(text) {
  const raw = atob(text), array = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) array[i] = raw.charCodeAt(i);
  return array.buffer;
}
function smoothNormals(positions, faces, nVertices, nBodies) {
  const normals = new Int8Array(4 * nVertices * nBodies), sum = new Float32Array(3 * nVertices);
  for (let b = 0; b < nBodies; b++) {
    const base = 3 * b * nVertices;
    sum.fill(0);
    for (let f = 0; f < faces.length; f += 3) {
      const i = 3 * faces[f], j = 3 * faces[f + 1], k = 3 * faces[f + 2];
      const ux = positions[base + j] - positions[base + i], vx = positions[base + k] - positions[base + i];
      const uy = positions[base + j + 1] - positions[base + i + 1], vy = positions[base + k + 1] - positions[base + i + 1];
      const uz = positions[base + j + 2] - positions[base + i + 2], vz = positions[base + k + 2] - positions[base + i + 2];
      const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
      for (const v of [i, j, k]) { sum[v] += nx; sum[v + 1] += ny; sum[v + 2] += nz; }
    }
    for (let v = 0; v < nVertices; v++) {
      const n = Math.hypot(sum[3 * v], sum[3 * v + 1], sum[3 * v + 2]) || 1;
      for (let c = 0; c < 3; c++) normals[4 * (b * nVertices + v) + c] = Math.round(127 * sum[3 * v + c] / n);
    }
  }
  return normals;
}
