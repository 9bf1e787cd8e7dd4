"""Look inside.  maps.py says where every map (arrays -> arrays) is; plots.py draws them; film.py, explorer.py."""
