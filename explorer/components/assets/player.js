export default function (component) {
  const parent = component.parentElement;
  const self = (parent.__player ??= new Player(parent));
  self.update(component);
  return () => {
    self.destroy();
    delete parent.__player;
  };
}
