"use strict";
/* What map.js uses of MapLibre, without drawing: it writes down what it is told, and does what a mouse would. */
globalThis.maplibregl = (() => {
  class Marker {
    constructor(options) { this.element = options.element; }
    setLngLat(at) { this.at = at; return this; }
    addTo(map) { map.markers.push(this); return this; }
    getElement() { return this.element; }
    remove() { theMap.markers = theMap.markers.filter((marker) => marker !== this); }
  }

  class StandIn {
    constructor(options) {
      const layout = Object.fromEntries(options.style.layers.map(({ id, layout }) => [id, { ...layout }]));
      Object.assign(this, { options, layout, handlers: [], markers: [], moves: [], images: {}, data: {}, zoom: 3, below: [] });
      this.touchZoomRotate = { disableRotation() {} };
      this.box = { west: -10, east: 20, south: 30, north: 50 };
      globalThis.theMap = this;
    }
    on(type, ...rest) { this.handlers.push({ type, layer: rest.length > 1 ? rest[0] : null, handler: rest.at(-1) }); }
    once(type, handler) { if (type === "load") setTimeout(handler); }
    tell(type, layer = null, event = {}) {
      for (const one of this.handlers) if (one.type === type && one.layer === layer) one.handler({ preventDefault() {}, point: [0, 0], ...event });
    }
    addControl() {}
    listImages() { return Object.keys(this.images); }
    removeImage(id) { delete this.images[id]; }
    setPaintProperty(id, name, value) { this.paint = { ...this.paint, [id + " " + name]: value }; }
    addImage(id, image) { this.images[id] = image; }
    setLayoutProperty(id, name, value) { this.layout[id][name] = value; }
    getLayer(id) { return this.layout[id]; }
    addSource(id, { data }) { this.options.style.sources[id] = { data }; this.data[id] = data; }
    addLayer({ id, layout }, below) { this.layout[id] = { ...layout }; this.added = { ...this.added, [id]: below }; }
    getSource(id) { return id in this.options.style.sources ? { setData: (data) => { this.data[id] = data; } } : undefined; }
    getBounds() { const { west, east, south, north } = this.box; return { getWest: () => west, getEast: () => east, getSouth: () => south, getNorth: () => north }; }
    project([lon, lat]) { return { x: lon, y: lat }; }
    getCenter() { const { west, east, south, north } = this.box; return { lng: (west + east) / 2, lat: (south + north) / 2 }; }
    getZoom() { return this.zoom; }
    getContainer() { return { clientWidth: 900, clientHeight: 600 }; }
    getCanvas() { return { style: {} }; }
    queryRenderedFeatures() { return this.below; }
    flyTo(to) { this.moves.push(to); }
    easeTo(to) { this.moves.push(to); }
    fitBounds(to) { this.moves.push(to); }
  }

  const nothing = class {};
  return { Map: StandIn, Marker, NavigationControl: nothing, FullscreenControl: nothing, ScaleControl: nothing };
})();
