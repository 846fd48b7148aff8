'use strict';

// Comes with redoc.standalone.js.
Redoc.init('/openapi.json', { nativeScrollbars: true }, document.getElementById('redoc'));
