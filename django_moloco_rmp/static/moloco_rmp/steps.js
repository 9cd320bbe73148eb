/* Long work goes on step by step, each a request of its own. */
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("moloco-step")?.submit();
});
