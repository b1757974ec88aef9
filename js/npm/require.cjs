'use strict';

throw new Error(
  'vcx-ghl is an ES module, and this version of Node.js cannot require() one: use `import`, or `await import("vcx-ghl")`, ' +
    'or Node.js from 20.19 or 22.12 on.',
);
