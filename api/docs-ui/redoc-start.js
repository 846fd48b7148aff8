'use strict';

// Comes with redoc.standalone.js.
Redoc.init('/openapi.json', { hideDownloadButton: false, nativeScrollbars: true }, document.getElementById('redoc'));
