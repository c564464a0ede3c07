// The description of the interface, drawn by Swagger UI, which puts its name into the window.
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#description",
  deepLinking: true,
  docExpansion: "none",
  // Otherwise a badge would send the description's address to a site of theirs.
  validatorUrl: null,
});
