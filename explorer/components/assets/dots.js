const STEPS = [0, 25, 50, 75, 100];

const said = ([name, value, low, high, note], noun) =>
  `${name}\n${value.toFixed(1)} % ${noun}, 95 % interval ${low.toFixed(1)}–${high.toFixed(1)} %\n${note}`;

class Dots {
  constructor(parent) {
    this.root = make("div", "root dots");
    this.root.setAttribute("role", "group");
    this.root.onclick = (e) => this.choose(e);
    parent.append(this.root);
  }

  update(component) {
    this.send = component.setTriggerValue;
    const told = JSON.stringify(component.data);
    if (told === this.told) return; // what has the focus keeps it
    this.told = told;
    const { rows, shown, random, axis, noun, label } = component.data;
    this.root.setAttribute("aria-label", label);
    const names = make("div", "names");
    const area = make("div", "area");
    for (const step of STEPS) {
      const line = make("i", "step");
      line.style.left = `${step}%`;
      line.append(make("em", "", `${step}`));
      area.append(line);
    }
    if (Number.isFinite(random)) {
      const line = make("i", "random");
      line.style.left = `${random}%`;
      line.append(make("em", "", "random"));
      area.append(line);
    }
    for (const row of rows) {
      const kind = row[0] === shown ? " shown" : row[5] ? " control" : "";
      const button = make("button", `name${kind}`, row[0]);
      button.type = "button";
      button.setAttribute("aria-pressed", String(row[0] === shown));
      names.append(button);
      const line = this.line(row, kind);
      area.append(line);
      for (const node of [button, line]) {
        node.dataset.name = row[0];
        node.title = said(row, noun);
      }
    }
    const unit = make("div", "unit", axis);
    this.root.replaceChildren(names, area, unit);
  }

  line([, value, low, high], kind) {
    const line = make("div", `line${kind}`);
    const reach = make("i", "reach");
    reach.style.left = `${low}%`;
    reach.style.width = `${Math.max(0, high - low)}%`;
    const dot = make("b");
    dot.style.left = `${value}%`;
    line.append(reach, dot);
    return line;
  }

  choose(e) {
    const name = e.target.closest?.("[data-name]")?.dataset.name;
    if (name !== undefined) this.send("choose", name);
  }

  destroy() {
    this.root.remove();
  }
}

export default (component) => mounted(component, Dots);
