// Shows the document of the API. Nothing is asked but this listener and the API.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

SwaggerUIBundle({
  url: "docs/openapi.yaml",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: -1,
  // A token is forgotten with the page.
  persistAuthorization: false,
  // Swagger UI would ask a server of its own whether the document is valid.
  validatorUrl: null,
});
