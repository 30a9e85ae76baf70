// One script and one style sheet, named by what is in them, so that a browser may keep them. The bundle is committed and
// goes into the wheel: building it again gives the same bytes. Nothing is loaded from another host.
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/clearhead/page",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    rollupOptions: { output: { entryFileNames: "assets/page-[hash].js", assetFileNames: "assets/page-[hash][extname]" } },
  },
});
