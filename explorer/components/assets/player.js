export default (component) => mounted(component, Player);
