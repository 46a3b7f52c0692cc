// -- the chosen person in the photograph, and the other way round -----------------------------------
const picture = $("overlay"), mark = $("mark");
const CROP_PX = [200, 220];
mark.hidden = true;
highlight = (i) => {
  const box = i < 0 ? null : data.boxes[i];
  mark.hidden = !box;
  if (!box) return;
  const [left, top, right, bottom] = box.map((v) => `${100 * v}%`);
  mark.style.inset = `${top} calc(100% - ${right}) calc(100% - ${bottom}) ${left}`;
};
cropOf = (i) => {
  const box = data.boxes[i], [width, height] = CROP_PX;
  if (!box || !picture.naturalWidth) return [];
  const w = picture.naturalWidth, h = picture.naturalHeight;
  const scale = Math.min(width / (1.5 * w * (box[2] - box[0])), height / (1.25 * h * (box[3] - box[1])), 8);
  const crop = document.createElement("canvas"), ratio = window.devicePixelRatio || 1;
  crop.width = Math.round(width * ratio);
  crop.height = Math.round(height * ratio);
  crop.setAttribute("aria-label", "This person in the photograph");
  const pen = crop.getContext("2d");
  pen.scale(ratio * scale, ratio * scale);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, width / scale / 2 - w * (box[0] + box[2]) / 2, height / scale / 2 - h * (box[1] + box[3]) / 2);
  return [crop];
};
picture.addEventListener("click", (event) => {
  const frame = picture.getBoundingClientRect();
  const u = (event.clientX - frame.left) / frame.width, v = (event.clientY - frame.top) / frame.height;
  let best = -1, lowest = -1;  // whoever stands lowest in the picture is in front, before all without a place
  data.boxes.forEach((box, i) => {
    if (!box || u < box[0] || u > box[2] || v < box[1] || v > box[3]) return;
    const edge = data.people[i].note ? box[3] - 1 : box[3];  // shares of the height are from 0 to 1
    if (edge > lowest) [best, lowest] = [i, edge];
  });
  choose(best, best >= 0);
});
