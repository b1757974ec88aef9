/** What `require()` gets where ES modules cannot be required: an error that says so. */
export {};
